//! The person who runs the command, and the machine, as the operating system names them.

use nix::unistd::{Uid, User};

/// The name of the person who runs the command; the number of a user without a name.
pub fn login_name() -> String {
    let uid = Uid::current();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// The name of the machine, if it has one.
pub fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
