//! The commands, one a file.

pub mod demo_orders;
pub mod jobs;
pub mod publish;
pub mod services;
pub mod settings;
pub mod stop;
pub mod up;
