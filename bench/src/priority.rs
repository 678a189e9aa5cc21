//! Gives Redis priority over all other processes, as if it had its own core.
//!
//! A script that lost its core to a client is not slow, and on two cores scripts do lose it. A
//! process that gets the core keeps it up to the next tick, 4 ms on most machines. How often that
//! happens depends on the weights of both. So Redis gets the largest weight, and all others the
//! smallest: RabbitMQ, the services and the clients, of the peer too. (A real-time class is worse:
//! the kernel then reserves 50 ms at a time for the others.)

use std::process::Command;

/// To be called before there are threads: these and all programs that are started inherit it.
pub fn last() {
    renice("19", std::process::id());
}

/// To be called for each Redis. The thread that runs scripts comes first, not those that
/// write to the disk.
pub fn first(redis: u32) {
    renice("-20", redis);
}

/// The first thread of a process: each has a value of its own.
fn renice(nice: &str, pid: u32) {
    let done = Command::new("renice").args(["-n", nice, "-p", &pid.to_string()]).output();
    if !done.is_ok_and(|done| done.status.success()) {
        println!("Redis has to share its core: not allowed to give it priority");
    }
}
