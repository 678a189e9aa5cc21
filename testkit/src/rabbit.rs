//! A private RabbitMQ for the tests of one process.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;
use upshot_servers::{RabbitOptions, RabbitServer, Service};

/// How many tests of one process may have a virtual host.
const VHOSTS: usize = 96;

/// The process's RabbitMQ.
#[derive(Debug)]
pub struct TestRabbit {
    server: RabbitServer,
    taken: AtomicUsize,
}

impl TestRabbit {
    /// Starts the server at first use. It ends with the process, however that ends.
    pub async fn get() -> &'static Self {
        static RABBIT: OnceCell<TestRabbit> = OnceCell::const_new();
        let start = || async {
            let vhosts = (0..VHOSTS).map(name).collect();
            let options = RabbitOptions { vhosts, ephemeral: true, ..RabbitOptions::default() };
            // The server removes the folder when it ends.
            let folder = tempfile::tempdir().unwrap().keep();
            let server = RabbitServer::start(&folder, options).await.unwrap();
            Self { server, taken: AtomicUsize::new(0) }
        };
        RABBIT.get_or_init(start).await
    }

    /// The server, for what concerns all its virtual hosts.
    pub fn server(&self) -> &RabbitServer {
        &self.server
    }

    /// A virtual host that no other test has: its name, and its URL.
    pub fn vhost(&self) -> (String, String) {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        assert!(taken < VHOSTS, "more than {VHOSTS} tests: raise VHOSTS");
        let name = name(taken);
        let url = self.server.url(&name);
        (name, url)
    }

    /// The URL of a virtual host for the user of a service.
    pub fn url_of(&self, service: Service, vhost: &str) -> String {
        self.server.url_of(service, vhost)
    }
}

fn name(n: usize) -> String {
    format!("test-{n}")
}
