//! The servers that a connection goes to, and the login there.

use std::mem::discriminant;

use redis::RedisResult;

use super::{
    address::{Address, AddressError, Mode, Node},
    endpoint::{Endpoint, unusable},
    options::{Login, RedisOptions},
    sentinel::Sentinels,
};

/// What a connection needs.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) endpoint: Endpoint,
    pub(super) sentinels: Option<Sentinels>,
}

impl Target {
    /// Reads the address and the certificates.
    pub(super) fn new(options: &RedisOptions) -> RedisResult<Self> {
        let address: Address =
            options.url.parse().map_err(|error: AddressError| unusable(error.to_string()))?;
        let endpoint = Endpoint::new(&address, options)?;
        let sentinels = Sentinels::new(&address, &endpoint, options)?;
        Ok(Self { address, endpoint, sentinels })
    }

    /// The target with the login of this moment. Certificates are read again too.
    ///
    /// # Errors
    /// When the login cannot be read at the moment, or its URL names servers of another kind.
    pub(super) fn current(&self, options: &RedisOptions) -> RedisResult<Self> {
        let Some(logins) = &options.logins else { return Ok(self.clone()) };
        let Login { url, sentinel_password } = logins.read().map_err(unusable)?;
        let target = Self::new(&RedisOptions { url, sentinel_password, ..options.clone() })?;
        if discriminant(&target.address.mode) != discriminant(&self.address.mode) {
            let remedy = "the file of `redis.url` names servers of another kind (one server, a cluster, sentinels) \
                          than at the start: start the service again";
            return Err(unusable(remedy.to_owned()));
        }
        Ok(target)
    }

    /// The nodes in the address: servers or sentinels.
    pub(super) fn nodes(&self) -> &[Node] {
        match &self.address.mode {
            Mode::Single(node) => std::slice::from_ref(node),
            Mode::Cluster(nodes) | Mode::Sentinel { sentinels: nodes, .. } => nodes,
        }
    }
}
