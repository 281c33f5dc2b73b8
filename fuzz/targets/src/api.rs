//! The service's API as its server hands requests to it: any request of anybody with a certificate.

#![expect(
    clippy::disallowed_types,
    reason = "the examiner is a thread, and one is enough for a process"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use serde_json::{Value, json};
use signer::api::Api;
use signer::authorize::{Identity, Permit, Proof, Purpose};
use signer::config::Signing;
use signer::hsm::{self, Verified};
use signer::signing::{Examiner, Parts, Service, Signer};
use signer::store::Status;
use signer::store::backend::BoxFuture;
use signer::tls::peer::Peer;

use crate::papers::{MASTER, NOW, Noon, STORE, master_key, paper, signing_key};
use crate::store::{open, operators, runtime, signed_rows};

/// Whoever asks what in which way: the answer has a status that the API knows, a refusal is a
/// problem document that says the same, what is answered at once is what would be answered, and
/// nothing becomes accepted, for no admin says so.
///
/// The first byte is who asks. Then come a line with method and path, header lines, an empty line,
/// the body.
pub fn http_request(input: &[u8]) {
    let Some((&who, text)) = input.split_first() else {
        return;
    };
    let Some(sent) = Sent::parse(text) else {
        return;
    };
    let peer = Arc::new(peer(who));
    let rows = signed_rows();
    let runtime = runtime();
    runtime.block_on(async {
        let store = open(rows).await;
        let api = Api::new(Arc::new(Service::new(Parts {
            store: store.clone(),
            signer: Arc::new(Unplugged),
            operators: operators(),
            clock: Arc::new(Noon),
            examiner: EXAMINER.clone(),
            signing: Signing {
                default_algorithm: Algorithm::Sha1,
                masters: BTreeMap::new(),
            },
        })));
        let first = sent.ask(&api, &peer).await;
        check(&first);
        if sent.method == Method::GET {
            let uri = sent.path.parse().expect("it was one");
            if let Some(at_once) = api.answer_at_once(&peer, &uri, &sent.headers) {
                let again = sent.ask(&api, &peer).await;
                assert_eq!(read(at_once).await, again, "{}", sent.path);
            }
        }
        for (id, master) in &store.state().masters {
            for (hash, record) in &master.keys {
                let is_known = id.as_str() == MASTER && *hash == master_key().public.hash();
                assert!(record.status != Status::Accepted || is_known, "{id} {hash}");
            }
        }
        store.close().await;
    });
}

/// Each route, as those ask that may and that may not.
#[must_use]
pub fn http_request_seeds() -> Vec<Vec<u8>> {
    let key = &master_key().public;
    let (hash, kid) = (key.hash(), signing_key().public.hash());
    let put = put(key);
    let accept = String::from_utf8(paper("accept.json")).expect("JSON");
    let revoke = String::from_utf8(paper("revoke.json")).expect("JSON");
    let json = "content-type: application/json\n";
    let lines = [
        (0, format!("GET /v1/signatures/{hash}\n\n")),
        (
            0,
            format!(
                "GET /v1/signatures/{hash}?algorithm=PKCS1v15-SHA1\naccept: application/json\n\n"
            ),
        ),
        (
            1,
            format!("GET /v1/signatures/{hash}?key={kid}\nif-none-match: \"x\", *\n\n"),
        ),
        (0, format!("PUT /v1/signatures/{hash}\n{json}\n{put}")),
        (
            0,
            format!("PUT /v1/signatures/{hash}?algorithm=PKCS1v15-SHA224\n{json}\n{put}"),
        ),
        (4, format!("PUT /v1/signatures/{hash}\n{json}\n{put}")),
        (1, "GET /v1/masters?limit=2&after=a\n\n".to_owned()),
        (
            1,
            format!("GET /v1/masters/{MASTER}\nif-none-match: \"1\"\n\n"),
        ),
        (
            1,
            format!("POST /v1/masters/{MASTER}/statements\n{json}\n{accept}"),
        ),
        (
            1,
            format!("POST /v1/masters/{MASTER}/statements\n{json}\n{revoke}"),
        ),
        (2, "GET /v1/audit?after=1&limit=3\n\n".to_owned()),
        (3, "GET /v1/signing-keys\n\n".to_owned()),
        (0, format!("GET /v1/signing-keys/{kid}\n\n")),
        (2, format!("HEAD /v1/signing-keys/{kid}/public.pem\n\n")),
        (0, "DELETE /v1/masters/%73alt-1\n\n".to_owned()),
        (1, "OPTIONS /v2\n\n".to_owned()),
    ];
    let seeds = lines.into_iter();
    seeds
        .map(|(who, text)| [&[who], text.as_bytes()].concat())
        .collect()
}

/// What the master asks for with a good proof.
fn put(key: &PublicKey) -> Value {
    let proof = Proof {
        purpose: Purpose::Put,
        store: STORE.parse().expect("a UUID"),
        client_key: peer(0).client_key,
        key: key.hash(),
        master: MASTER.parse().expect("an id"),
        time: NOW.parse().expect("a time"),
    };
    let signature = proof.sign(&master_key().private).expect("it signs");
    json!({
        "public_key": key.canonical(),
        "time": NOW,
        "proof": STANDARD.encode(signature),
    })
}

fn peer(who: u8) -> Peer {
    let der = crate::pki::first(&paper("master.pem")).expect("a certificate");
    let peer = Peer::from_certificate(&der).expect("a master's");
    let identity: Option<Identity> = match who {
        1 => "mastersign:admin:ada".parse().ok(),
        2 => "mastersign:auditor:eve".parse().ok(),
        3 => "mastersign:metrics:prometheus".parse().ok(),
        4 => "mastersign:master:other".parse().ok(),
        _ => None,
    };
    match identity {
        Some(identity) => Peer { identity, ..peer },
        None => peer,
    }
}

/// A request as it came.
struct Sent {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sent {
    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.windows(2).position(|two| two == b"\n\n")?;
        let (head, body) = text.split_at_checked(end)?;
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let (method, path) = lines.next()?.split_once(' ')?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            let name: HeaderName = name.parse().ok()?;
            headers.append(name, HeaderValue::from_str(value).ok()?);
        }
        path.parse::<axum::http::Uri>().ok()?;
        Some(Self {
            method: method.parse().ok()?,
            path: path.to_owned(),
            headers,
            body: body.get(2..)?.to_vec(),
        })
    }

    async fn ask(&self, api: &Api, peer: &Arc<Peer>) -> Read {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .body(Body::from(self.body.clone()))
            .expect("its parts are in order");
        *request.headers_mut() = self.headers.clone();
        request.extensions_mut().insert(Arc::clone(peer));
        read(api.answer(request).await).await
    }
}

/// An answer that was read to its end.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    status: StatusCode,
    kind: String,
    tag: Option<HeaderValue>,
    body: Vec<u8>,
}

async fn read(response: Response<Body>) -> Read {
    let header = |name: &str| response.headers().get(name).cloned();
    let (status, kind, tag) = (response.status(), header("content-type"), header("etag"));
    let kind = kind.map(|kind| kind.to_str().expect("ASCII").to_owned());
    let body = to_bytes(response.into_body(), LONGEST).await;
    Read {
        status,
        kind: kind.unwrap_or_default(),
        tag,
        body: body.expect("it is bounded").to_vec(),
    }
}

fn check(answer: &Read) {
    let Read {
        status, kind, body, ..
    } = answer;
    let is_known = matches!(
        status.as_u16(),
        200 | 201
            | 202
            | 304
            | 400
            | 403
            | 404
            | 405
            | 406
            | 409
            | 410
            | 412
            | 413
            | 415
            | 422
            | 429
            | 503
    );
    assert!(is_known, "{status}: {}", String::from_utf8_lossy(body));
    // RFC 9110, section 9.3.2: what answers HEAD has no body.
    if status.as_u16() >= 400 && !body.is_empty() {
        assert_eq!(kind, "application/problem+json");
        let problem: Value = serde_json::from_slice(body).expect("a problem document");
        assert_eq!(problem.get("status"), Some(&json!(status.as_u16())));
        assert!(
            problem.get("type").is_some_and(Value::is_string),
            "{problem}"
        );
    }
}

/// An HSM that is away; what is stored is served all the same.
#[derive(Debug)]
struct Unplugged;

impl Signer for Unplugged {
    fn sign(&self, _: Permit, _: Algorithm) -> BoxFuture<'_, Result<Verified, hsm::Error>> {
        Box::pin(std::future::ready(Err(hsm::Error::Unavailable)))
    }

    fn signing_key(&self) -> Option<Arc<PublicKey>> {
        Some(Arc::new(signing_key().public.clone()))
    }
}

static EXAMINER: LazyLock<Examiner> = LazyLock::new(|| Examiner::start().expect("a thread"));

/// A page of a thousand records has less.
const LONGEST: usize = 4 << 20;
