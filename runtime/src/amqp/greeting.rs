//! The greeting of a broker before the login.

use std::{io, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Address, transport};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker's greeting is not larger than this.
const MOST: u32 = 64 * 1024;

/// A broker's greeting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Its name, such as `RabbitMQ`.
    pub product: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// Asks a broker for product and version, on a connection that closes before any login. The client
/// library does not expose them.
///
/// # Errors
/// When the broker is away, or speaks another protocol.
pub async fn greeting(address: impl Into<Address>) -> io::Result<Greeting> {
    let address = address.into();
    let asking = async {
        let mut socket = transport::first_socket(&address).await?;
        socket.write_all(b"AMQP\x00\x00\x09\x01").await?;
        socket.flush().await?;
        let mut head = [0; 7];
        socket.read_exact(&mut head).await?;
        // A frame of type 1 (method) on channel 0, and its size.
        let [1, 0, 0, size @ ..] = head else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak AMQP 0-9-1"));
        };
        let mut frame = Vec::new();
        socket.take(u32::from_be_bytes(size).min(MOST).into()).read_to_end(&mut frame).await?;
        Ok(Greeting { product: property(&frame, "product"), version: property(&frame, "version") })
    };
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    tokio::time::timeout(PATIENCE, asking).await.map_err(silent)?
}

/// A text among the properties of `connection.start`: length and name, the type
/// `S`, length and value.
fn property(frame: &[u8], name: &str) -> Option<String> {
    let mut key = vec![u8::try_from(name.len()).ok()?];
    key.extend_from_slice(name.as_bytes());
    key.push(b'S');
    let start = frame.windows(key.len()).position(|window| window == key)? + key.len();
    let (length, rest) = frame.get(start..)?.split_first_chunk::<4>()?;
    let value = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    // Text from another machine never reaches a terminal unescaped.
    Some(String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_found_by_its_name() {
        let frame = b"..\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8\x04moreS\x00";
        assert_eq!(property(frame, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(property(frame, "version").as_deref(), Some("3.10.8"));
        assert_eq!((property(frame, "more"), property(frame, "platform")), (None, None));
        assert_eq!(property(b"\x07versionS\xff\xff\xff\xff", "version"), None);
    }
}
