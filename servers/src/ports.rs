//! Free ports on 127.0.0.1, remembered in the data folder and used again while they are free.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use rand::Rng;

use crate::Error;
use crate::folder::Folder;

/// Below the range from which Linux takes the ports of outgoing connections:
/// such a connection could take a port between our look and the server's bind.
const FROM: u16 = 20_000;
const TO: u16 = 32_000;
const TRIES: usize = 200;

/// A free port for every name, all different. Takes a remembered port again if it is free, unless
/// `anew` asks for others.
pub(crate) fn claim<const N: usize>(
    folder: &Folder,
    names: [&str; N],
    anew: bool,
) -> Result<[u16; N], Error> {
    let file = folder.join("ports");
    let text = if anew { String::new() } else { fs::read_to_string(&file).unwrap_or_default() };
    let known = parse(&text);
    // The listeners are held until every port is found, so that no two are the same.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for (port, name) in ports.iter_mut().zip(names) {
        let remembered = known.get(name).and_then(|port| listen(*port).ok());
        let listener = match remembered {
            Some(listener) => listener,
            None => listen_anywhere()?,
        };
        *port = listener.local_addr().map_err(no_port)?.port();
        held.push(listener);
    }
    let lines: String = names.iter().zip(ports).map(|(name, port)| format!("{name} {port}\n")).collect();
    folder.write("ports", &lines, 0o600)?;
    Ok(ports)
}

/// Whether the port is free.
pub(crate) fn is_free(port: u16) -> bool {
    listen(port).is_ok()
}

/// Listens on a free port of the range.
pub(crate) fn listen_anywhere() -> Result<TcpListener, Error> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        match listen(rand::rng().random_range(FROM..TO)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(no_port(last))
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn no_port(source: io::Error) -> Error {
    Error::NoPort { from: FROM, to: TO, source }
}

fn parse(text: &str) -> HashMap<&str, u16> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, port)| Some((name, port.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ports_are_remembered_and_replaced_when_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).await.unwrap();
        let first = claim(&folder, ["a", "b"], false).unwrap();
        assert_ne!(first[0], first[1]);
        assert_eq!(claim(&folder, ["a", "b"], false).unwrap(), first);
        let taken = listen(first[0]).unwrap();
        let second = claim(&folder, ["a", "b"], false).unwrap();
        assert_ne!(second[0], first[0]);
        assert_eq!(second[1], first[1]);
        drop(taken);
        assert_eq!(claim(&folder, ["a", "b"], false).unwrap(), second, "the newest is remembered");
    }
}
