//! The API in memory: the real router, service, store and checks; only the token is a key in
//! software.

mod audit;
mod by_hand;
mod decide;
mod durable;
mod hit;
mod openapi;
mod read;
mod sign;
mod weak;
mod wrong_keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, KeyHash, PublicKey, Signature};
use openssl::rsa::Padding;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::authorize::testing::{Issued, MasterKey, TestCa};
use crate::authorize::{Identity, MasterId, Permit, Proof, Purpose, Statement, Verb};
use crate::clock::{Clock, Timestamp};
use crate::config::Signing;
use crate::hsm::{self, Verified};
use crate::signing::{Examiner, Parts, Service, Signer};
use crate::store::backend::{Backend, BoxFuture};
use crate::store::{Memory, Store};
use crate::tls::Lapsed;
use crate::tls::peer::Peer;

const NOW: &str = "2026-06-01T12:00:00Z";

/// A service with an admin named ada and nothing else.
struct World {
    service: Arc<Service>,
    signer: Arc<SoftwareSigner>,
    clock: Arc<HandClock>,
    ca: TestCa,
    ada: Issued,
}

impl World {
    async fn new() -> Self {
        Self::with_masters([]).await
    }

    async fn with_masters(settings: impl IntoIterator<Item = (MasterId, Algorithm)>) -> Self {
        Self::on(Arc::new(Memory::default()), settings).await
    }

    async fn on(
        backend: Arc<dyn Backend>,
        settings: impl IntoIterator<Item = (MasterId, Algorithm)>,
    ) -> Self {
        let ca = TestCa::new();
        let operators = Arc::new(ca.operators());
        let clock = Arc::new(HandClock::at(NOW));
        let signer = Arc::new(SoftwareSigner::new());
        let store = Store::open(
            backend,
            Arc::clone(&operators),
            Arc::clone(&clock) as Arc<dyn Clock>,
            None,
        )
        .await
        .unwrap();
        store.add_signing_key(&signer.key.public).await.unwrap();
        let parts = Parts {
            store,
            signer: Arc::clone(&signer) as Arc<dyn Signer>,
            operators,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            examiner: Examiner::start().unwrap(),
            signing: Signing {
                default_algorithm: Algorithm::Sha1,
                masters: settings.into_iter().collect(),
            },
        };
        Self {
            service: Arc::new(Service::new(parts)),
            signer,
            clock,
            ada: ca.admin("ada"),
            ca,
        }
    }

    fn count(&self) -> usize {
        self.signer.count.load(Ordering::SeqCst)
    }

    /// Sends it, and sees that what is answered at once, if anything is, is the same answer.
    async fn send(&self, request: Request<Body>) -> Reply {
        let api = super::Api::new(Arc::clone(&self.service));
        let is_bare = request.extensions().get::<Lapsed>().is_none();
        let at_once = match request.extensions().get::<Arc<Peer>>() {
            Some(peer) if request.method() == Method::GET && is_bare => {
                api.answer_at_once(peer, request.uri(), request.headers())
            }
            Some(_) | None => None,
        };
        let mut reply = reply(api.answer(request).await).await;
        if let Some(at_once) = at_once {
            let at_once = self::reply(at_once).await;
            assert_eq!(at_once.status, reply.status);
            // The router is a step ahead of hyper.
            reply.headers.remove("content-length");
            assert_eq!(at_once.headers, reply.headers);
            assert_eq!(at_once.body, reply.body);
        }
        reply
    }

    fn is_there_at_once(&self, peer: &Peer, path: &str) -> bool {
        let api = super::Api::new(Arc::clone(&self.service));
        let headers = HeaderMap::new();
        let answer = api.answer_at_once(peer, &path.parse().unwrap(), &headers);
        answer.is_some()
    }

    async fn call(&self, peer: Peer, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Arc::new(peer));
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, peer: Peer, path: &str) -> Reply {
        self.call(peer, Method::GET, path, None).await
    }

    fn proof(&self, id: &str, key: &MasterKey) -> Proof {
        Proof {
            purpose: Purpose::Put,
            store: self.service.store().uuid(),
            client_key: master(id).client_key,
            key: key.public.hash(),
            master: id.parse().unwrap(),
            time: self.clock.now(),
        }
    }

    fn body(&self, id: &str, key: &MasterKey) -> Value {
        presentation(key, &self.proof(id, key))
    }

    async fn put(&self, id: &str, key: &MasterKey) -> Reply {
        self.put_body(id, &signature_path(key), self.body(id, key))
            .await
    }

    async fn put_body(&self, id: &str, path: &str, body: Value) -> Reply {
        self.call(master(id), Method::PUT, path, Some(body)).await
    }

    fn statement(&self, verb: Verb, id: &str, key: Option<KeyHash>) -> Statement {
        let master: MasterId = id.parse().unwrap();
        let state = self.service.store().state();
        let generation = state.master(&master).map_or(0, |master| master.generation);
        Statement {
            verb,
            store: self.service.store().uuid(),
            master,
            key,
            generation: generation.saturating_add(1),
            time: self.clock.now(),
        }
    }

    async fn post(&self, peer: Peer, signer: &Issued, statement: &Statement) -> Reply {
        let path = format!("/v1/masters/{}/statements", statement.master);
        let body = serde_json::to_value(signer.sign(statement)).unwrap();
        self.call(peer, Method::POST, &path, Some(body)).await
    }

    async fn decide(&self, verb: Verb, id: &str, key: &MasterKey) {
        let statement = self.statement(verb, id, Some(key.public.hash()));
        let reply = self.post(admin("ada"), &self.ada, &statement).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }

    /// A master whose key was shown and accepted, and not signed yet.
    async fn accepted(&self, id: &str) -> MasterKey {
        let key = MasterKey::generate();
        assert_eq!(self.put(id, &key).await.status, StatusCode::ACCEPTED);
        self.decide(Verb::Accept, id, &key).await;
        key
    }
}

fn signature_path(key: &MasterKey) -> String {
    format!("/v1/signatures/{}", key.public.hash())
}

fn presentation(key: &MasterKey, proof: &Proof) -> Value {
    json!({
        "public_key": key.public.canonical(),
        "time": proof.time,
        "proof": STANDARD.encode(proof.sign(&key.private).unwrap()),
    })
}

fn peer(identity: &str) -> Peer {
    let hash = |what: &str| {
        let mut hash = [0; 32];
        let text = format!("{what}{identity}");
        hash.copy_from_slice(
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref(),
        );
        hash
    };
    Peer {
        identity: identity.parse::<Identity>().unwrap(),
        client_key: hash("key"),
        certificate: hash("certificate"),
        serial: "01".to_owned(),
    }
}

fn master(id: &str) -> Peer {
    peer(&format!("mastersign:master:{id}"))
}

fn admin(name: &str) -> Peer {
    peer(&format!("mastersign:admin:{name}"))
}

async fn reply(response: axum::response::Response) -> Reply {
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, 1 << 20).await.unwrap(),
    }
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that this is a refusal of that kind, and returns its detail.
    fn refused(&self, status: u16, code: &str) -> String {
        let body = self.json();
        let expected = format!("urn:mastersign:problem:{code}");
        assert_eq!(
            (self.status.as_u16(), &body["type"]),
            (status, &json!(expected)),
            "{body}"
        );
        body["detail"].as_str().unwrap().to_owned()
    }
}

/// A key in software where the HSM is, which counts how often it signs.
#[derive(Debug)]
struct SoftwareSigner {
    key: MasterKey,
    count: AtomicUsize,
    is_down: AtomicBool,
    /// How many more signatures may be made before the gate is opened further.
    gate: Semaphore,
    /// One permit for each signature that was begun.
    begun: Semaphore,
}

impl SoftwareSigner {
    fn new() -> Self {
        Self {
            key: MasterKey::generate(),
            count: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            begun: Semaphore::new(0),
        }
    }

    /// From here on signatures wait until [`open`](Self::open).
    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn has_begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }
}

impl Signer for SoftwareSigner {
    fn sign(
        &self,
        permit: Permit,
        algorithm: Algorithm,
    ) -> BoxFuture<'_, Result<Verified, hsm::Error>> {
        Box::pin(async move {
            if self.is_down.load(Ordering::SeqCst) {
                return Err(hsm::Error::Unavailable);
            }
            self.count.fetch_add(1, Ordering::SeqCst);
            self.begun.add_permits(1);
            drop(self.gate.acquire().await.unwrap());
            let rsa = self.key.private.rsa().unwrap();
            let mut signature = vec![0; 256];
            let info = algorithm.digest_info(permit.key().canonical().as_bytes());
            rsa.private_encrypt(&info, &mut signature, Padding::PKCS1)
                .unwrap();
            let signature = Signature::new(signature);
            let verified = Verified::new(&self.key.public, algorithm, permit.key(), signature);
            verified.map_err(|_| hsm::Error::Quarantined {
                hsm: "soft".to_owned(),
            })
        })
    }

    fn signing_key(&self) -> Option<Arc<PublicKey>> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        (!is_down).then(|| Arc::clone(&self.key.public))
    }
}

/// A clock that a test sets.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl HandClock {
    fn at(time: &str) -> Self {
        Self(AtomicI64::new(time.parse::<Timestamp>().unwrap().unix()))
    }

    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

#[tokio::test]
async fn no_route_is_open_to_a_connection_without_a_certificate() {
    let world = World::new().await;
    let key = MasterKey::generate();
    for (method, path) in routes(&key) {
        let request = Request::builder().method(method).uri(&path);
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        reply.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn every_role_reaches_its_own_routes_only() {
    let world = World::new().await;
    let key = MasterKey::generate();
    let forbidden = ["/v1/masters", "/v1/masters/m1", "/v1/masters/m1/statements"];
    for (method, path) in routes(&key) {
        for caller in ["master:m1", "auditor:eve", "metrics:prometheus"] {
            let reply = world
                .call(
                    peer(&format!("mastersign:{caller}")),
                    method.clone(),
                    &path,
                    Some(json!({})),
                )
                .await;
            if forbidden.contains(&path.as_str()) {
                reply.refused(403, "forbidden");
            }
            assert_ne!(reply.status, StatusCode::CREATED);
        }
    }
}

#[tokio::test]
async fn an_unknown_path_and_method_are_problems_too() {
    let world = World::new().await;
    world
        .get(admin("ada"), "/v1/sign")
        .await
        .refused(404, "not-found");
    let reply = world
        .call(admin("ada"), Method::DELETE, "/v1/masters", None)
        .await;
    reply.refused(405, "method-not-allowed");
}

/// Every route of [`super::router`].
fn routes(key: &MasterKey) -> Vec<(Method, String)> {
    let hash = key.public.hash();
    vec![
        (Method::GET, "/v1/audit".to_owned()),
        (Method::GET, "/v1/masters".to_owned()),
        (Method::GET, "/v1/masters/m1".to_owned()),
        (Method::POST, "/v1/masters/m1/statements".to_owned()),
        (Method::PUT, format!("/v1/signatures/{hash}")),
        (Method::GET, format!("/v1/signatures/{hash}")),
        (Method::GET, "/v1/signing-keys".to_owned()),
        (Method::GET, format!("/v1/signing-keys/{hash}")),
        (Method::GET, format!("/v1/signing-keys/{hash}/public.pem")),
    ]
}
