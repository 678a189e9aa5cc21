//! A carrier on this machine: it answers like the real one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};

/// What the carrier was asked for.
#[derive(Clone, Default)]
pub struct Depot {
    pub labels: Arc<Mutex<Vec<String>>>,
    pub notices: Arc<Mutex<BTreeSet<String>>>,
    /// Then it refuses all.
    pub closed: Arc<Mutex<bool>>,
}

impl Depot {
    /// Opens it, and says where it is.
    pub async fn open(&self) -> String {
        let app = Router::new()
            .route("/labels", post(label))
            .route("/notices", post(notice))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }
}

async fn label(State(depot): State<Depot>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    if *depot.closed.lock().unwrap() {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!("no such depot")));
    }
    let order = body["order"].as_str().unwrap().to_owned();
    let label = format!("L-{order}");
    depot.labels.lock().unwrap().push(order);
    (StatusCode::OK, Json(json!({ "label": label })))
}

async fn notice(State(depot): State<Depot>, Json(body): Json<Value>) -> Json<Value> {
    depot.notices.lock().unwrap().insert(body["parcel"].as_str().unwrap().to_owned());
    Json(json!({}))
}
