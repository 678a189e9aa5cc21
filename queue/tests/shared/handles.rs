//! All that can be done to a queue: tests are producers, operators and workers at once.

use std::ops::Deref;

use upshot_queue::{Client, Connection, Connector, Error, Operator, QueueName, worker::Worker};

/// The three handles of a queue; a client unless it says which.
#[derive(Clone, Debug)]
pub struct Queue {
    pub operator: Operator,
    pub worker: Worker,
}

impl Queue {
    #[allow(dead_code)]
    pub fn new(connector: &Connector, name: QueueName) -> Result<Self, Error> {
        Client::new(connector, name).map(Self::of)
    }

    #[allow(dead_code)]
    pub fn with_connection(conn: Connection, prefix: &str, name: QueueName) -> Self {
        Self::of(Client::with_connection(conn, prefix, name))
    }

    #[allow(dead_code)]
    pub fn with_test_clock(self) -> Self {
        Self::of((*self).clone().with_test_clock())
    }

    #[allow(dead_code)]
    pub fn with_max_payload(self, bytes: usize) -> Self {
        Self::of((*self).clone().with_max_payload(bytes))
    }

    pub fn of(client: Client) -> Self {
        Self { operator: Operator::new(client.clone()).acting("ada"), worker: Worker::new(client) }
    }
}

impl Deref for Queue {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.operator.client()
    }
}
