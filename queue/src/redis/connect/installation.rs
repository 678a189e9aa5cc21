//! Identifies the data in Redis with an id from the first process, so that every process notices
//! when the data are gone or replaced.

use redis::RedisResult;

use super::{Connection, Connector};

/// The key that holds the id. It belongs to no queue.
pub fn installation_key(prefix: &str) -> String {
    format!("{prefix}:installation")
}

impl Connector {
    /// The id of the data under the prefix. Gives an id to data without one.
    ///
    /// # Errors
    /// When Redis failed. A full Redis gives no id to data without one.
    pub async fn installation(&self, conn: &mut Connection) -> RedisResult<String> {
        let key = installation_key(self.prefix());
        let mut get = redis::cmd("GET");
        get.arg(&key);
        if let Some(id) = get.query_async::<Option<String>>(conn).await? {
            return Ok(id);
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let set: Option<String> = redis::cmd("SET").arg(&key).arg(&id).arg("NX").query_async(conn).await?;
        match set {
            Some(_) => Ok(id),
            // Another process stored an id first.
            None => get.query_async(conn).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_the_keys_names_it() {
        let page = include_str!("../../../../docs/redis-keys.md");
        let key = super::installation_key("upshot");
        assert!(page.contains(&format!("| `{key}` | string |")), "{key} is not in docs/redis-keys.md");
    }
}
