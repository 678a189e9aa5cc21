//! The commands, one a file.

pub mod alarms;
pub mod audit;
pub mod audit_log;
pub mod change;
mod client;
pub mod completion;
pub mod configuration;
pub mod dead;
pub mod doctor;
pub mod erase;
mod follow;
#[cfg(test)]
mod hostile;
mod job_page;
pub mod jobs;
pub mod link;
pub mod login;
pub mod me;
pub mod objectives;
pub mod operation;
pub mod outcomes;
pub mod overview;
mod pages;
mod person;
mod private;
pub mod profiles;
pub mod publish;
pub mod quarantine;
pub mod queues;
pub mod schedules;
pub mod services;
pub mod settings;
pub mod stop;
pub mod story;
pub mod tenants;
mod timeline;
pub mod token;
pub mod up;
mod value;
pub mod waive;
pub mod why;

pub use client::Answered;
