//! The commands, one a file.

pub mod audit;
pub mod change;
mod client;
pub mod configuration;
pub mod dead;
pub mod doctor;
mod follow;
#[cfg(test)]
mod hostile;
mod job_page;
pub mod jobs;
mod pages;
mod private;
pub mod publish;
pub mod quarantine;
pub mod queues;
pub mod services;
pub mod settings;
pub mod stop;
mod timeline;
pub mod up;
mod value;
