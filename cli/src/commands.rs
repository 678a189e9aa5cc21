//! The commands, one a file.

pub mod change;
mod client;
pub mod dead;
pub mod demo_orders;
pub mod doctor;
pub mod jobs;
mod private;
pub mod publish;
pub mod queues;
pub mod services;
pub mod settings;
pub mod stop;
mod table;
mod timeline;
pub mod up;
