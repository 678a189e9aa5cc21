//! An identity provider of a test's own: OpenID Connect over HTTP on loopback, with keys of its own. It
//! checks what a provider checks. `make test-all` uses a provider of another make.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub const CLIENT: &str = "upshot";
pub const SECRET: &str = "s3cr3t/+";

/// A running provider.
pub struct Provider {
    pub issuer: String,
    state: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    issuer: String,
    keys: Mutex<(EcdsaKeyPair, u32)>,
    person: Mutex<Person>,
    /// Codes that were given, with the parameters of their login.
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
}

/// Who is logged in at the provider, and what the provider does wrong.
#[derive(Clone)]
pub struct Person {
    pub claims: Value,
    /// Whether the groups are in the ID token; otherwise the userinfo endpoint says them.
    pub in_token: bool,
    /// Seconds by which the provider's clock is ahead.
    pub ahead: i64,
    /// Claims of the ID token in place of the right ones.
    pub wrong: Value,
    /// Why the provider refuses the person.
    pub error: Option<&'static str>,
}

impl Person {
    pub fn new(subject: &str, groups: &[&str], tenants: &[&str]) -> Self {
        Self {
            claims: json!({"sub": subject, "name": subject, "groups": groups, "tenants": tenants}),
            in_token: true,
            ahead: 0,
            wrong: json!({}),
            error: None,
        }
    }
}

fn key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            issuer: issuer.clone(),
            keys: Mutex::new((key(), 1)),
            person: Mutex::new(Person::new("ada", &[], &[])),
            codes: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/login", get(login))
            .route("/token", post(token))
            .route("/info", get(info))
            .with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, state, serving }
    }

    pub fn log_in(&self, person: Person) {
        *self.state.person.lock().unwrap() = person;
    }

    /// Signs with another key from now on.
    pub fn change_key(&self) {
        let mut keys = self.state.keys.lock().unwrap();
        *keys = (key(), keys.1 + 1);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn metadata(State(state): State<Arc<Shared>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", state.issuer);
    Json(json!({
        "issuer": state.issuer, "authorization_endpoint": at("/login"), "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/info"), "jwks_uri": at("/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(state): State<Arc<Shared>>) -> Json<Value> {
    let keys = state.keys.lock().unwrap();
    let point = keys.0.public_key().as_ref();
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    Json(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keys.1.to_string(),
        "x": encode(&point[1..33]), "y": encode(&point[33..]),
    }]}))
}

async fn login(State(state): State<Arc<Shared>>, Query(asked): Query<HashMap<String, String>>) -> Response {
    let is_right = asked["response_type"] == "code"
        && asked["client_id"] == CLIENT
        && asked["code_challenge_method"] == "S256"
        && asked["scope"].split(' ').any(|scope| scope == "openid")
        && !asked["nonce"].is_empty()
        && !asked["state"].is_empty();
    if !is_right {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let (to, login) = (asked["redirect_uri"].clone(), asked["state"].clone());
    if let Some(error) = state.person.lock().unwrap().error {
        return Redirect::to(&format!("{to}?error={error}&state={login}")).into_response();
    }
    let mut codes = state.codes.lock().unwrap();
    let code = format!("code-{}", codes.len());
    codes.insert(code.clone(), asked);
    Redirect::to(&format!("{to}?code={code}&state={login}&iss={}", state.issuer)).into_response()
}

async fn token(
    State(state): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refuse = |why: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant", "error_description": why})))
            .into_response()
    };
    let basic = format!("Basic {}", BASE64.encode(format!("{CLIENT}:s3cr3t%2F%2B").as_bytes()));
    if headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok()) != Some(basic.as_str()) {
        return refuse("the client is another");
    }
    let Some(asked) = state.codes.lock().unwrap().remove(&form["code"]) else {
        return refuse("no such code");
    };
    let challenge = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    if BASE64URL_NOPAD.encode(challenge.as_ref()) != asked["code_challenge"] {
        return refuse("the verifier is another");
    }
    if form["redirect_uri"] != asked["redirect_uri"] || form["grant_type"] != "authorization_code" {
        return refuse("it is asked for another");
    }
    let person = state.person.lock().unwrap().clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap() + person.ahead;
    let mut claims = if person.in_token { person.claims } else { json!({"sub": person.claims["sub"]}) };
    for (name, value) in [
        ("iss", json!(state.issuer)),
        ("aud", json!(CLIENT)),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("nonce", json!(asked["nonce"])),
    ] {
        claims[name] = value;
    }
    for (name, value) in person.wrong.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let keys = state.keys.lock().unwrap();
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = json!({"alg": "ES256", "kid": keys.1.to_string()});
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signed = keys.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let id_token = format!("{message}.{}", BASE64URL_NOPAD.encode(signed.as_ref()));
    Json(json!({"access_token": "of a person", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}))
        .into_response()
}

async fn info(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|given| given != "Bearer of a person") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(state.person.lock().unwrap().claims.clone()).into_response()
}
