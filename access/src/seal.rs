//! Seals texts that a principal carries and must not read: where a list continues, by the id of a job
//! that may be another tenant's.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce, written in base64url. The key is in Redis, so that
//! every process opens what another sealed.

use std::{fmt, sync::Arc};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::RngCore;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tokio::sync::OnceCell;
use upshot_queue::Connection;

use crate::{error::Error, keys::Keys, token::random};

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Seals texts. Cheap to clone.
#[derive(Clone)]
pub struct Seal {
    conn: Connection,
    keys: Keys,
    key: Arc<OnceCell<LessSafeKey>>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// The seal of an installation.
    pub fn with_connection(conn: Connection, prefix: &str) -> Self {
        Self { conn, keys: Keys::new(prefix), key: Arc::default() }
    }

    /// Seals a text.
    ///
    /// # Errors
    /// When Redis failed before the key was read once, or the key is damaged.
    pub async fn close(&self, text: &str) -> Result<String, Error> {
        let key = self.key().await?;
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| Error::Unsealable)?;
        Ok(BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat()))
    }

    /// The text that was sealed; `None` if it was not sealed here, or was altered.
    ///
    /// # Errors
    /// When Redis failed before the key was read once, or the key is damaged.
    pub async fn open(&self, sealed: &str) -> Result<Option<String>, Error> {
        let key = self.key().await?;
        let Ok(mut bytes) = BASE64URL_NOPAD.decode(sealed.as_bytes()) else { return Ok(None) };
        let Some((nonce, sealed)) = bytes.split_at_mut_checked(NONCE_LEN) else { return Ok(None) };
        let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else { return Ok(None) };
        let opened = key.open_in_place(nonce, Aad::empty(), sealed).ok();
        Ok(opened.and_then(|text| String::from_utf8(text.to_vec()).ok()))
    }

    /// The key, made once for the installation.
    async fn key(&self) -> Result<&LessSafeKey, Error> {
        let read = || async {
            let mut conn = self.conn.clone();
            let at = self.keys.seal();
            let made: Option<String> = redis::cmd("SET")
                .arg(&at)
                .arg(random::<KEY_BYTES>())
                .arg("NX")
                .query_async(&mut conn)
                .await?;
            drop(made);
            let stored: String = redis::cmd("GET").arg(&at).query_async(&mut conn).await?;
            let bytes = HEXLOWER.decode(stored.as_bytes()).map_err(|_| Error::Unsealable)?;
            let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| Error::Unsealable)?;
            Ok(LessSafeKey::new(key))
        };
        self.key.get_or_try_init(read).await
    }
}
