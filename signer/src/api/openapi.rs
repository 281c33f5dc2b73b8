//! The description of the API for programs: `OpenAPI` 3.1.
//!
//! A table of operations beside the table of routes, compared with it, with the committed document
//! and with real answers by tests. Macros on the handlers would say the same, spread over the
//! handlers, and would describe extractors of our own no better.

mod schema;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::problem::Kind;

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(path) = path {
            let method = operation.method.as_str().to_lowercase();
            path.insert(method, operation.describe());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mastersign",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Signs the public keys of accepted Salt masters with a key in an HSM",
            "description": "TLS 1.3 with a client certificate on every route; its one URI \
                (mastersign:master:ID, mastersign:admin:NAME, mastersign:auditor:NAME) says who \
                calls. Every answer has x-request-id. Refusals are application/problem+json, \
                docs/problems.md has a section for each.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "client-certificate": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "client-certificate": { "type": "mutualTLS" } },
            "schemas": schema::all(),
        },
    })
}

/// The document as the file has it.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", document())
}

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Who may.
    roles: &'static str,
    parameters: &'static [Parameter],
    /// The schema of the body.
    body: Option<&'static str>,
    answers: &'static [Answer],
    problems: &'static [Kind],
}

struct Parameter {
    name: &'static str,
    place: &'static str,
    about: &'static str,
    schema: fn() -> Value,
}

struct Answer {
    status: u16,
    about: &'static str,
    /// Media type and schema; none without a body.
    content: &'static [(&'static str, &'static str)],
}

impl Operation {
    fn describe(&self) -> Value {
        let mut responses = Map::new();
        for answer in self.answers {
            let content: Map<String, Value> = answer
                .content
                .iter()
                .map(|(media, name)| ((*media).to_owned(), json!({ "schema": reference(name) })))
                .collect();
            let mut response = json!({ "description": answer.about });
            if !content.is_empty()
                && let Some(response) = response.as_object_mut()
            {
                response.insert("content".to_owned(), Value::Object(content));
            }
            responses.insert(answer.status.to_string(), response);
        }
        for kind in self.problems.iter().chain(EVERYWHERE) {
            let status = kind.status().as_u16().to_string();
            let code = kind.code();
            let about = match responses
                .get(&status)
                .and_then(|known| known["description"].as_str())
            {
                Some(known) => format!("{known}, {code}"),
                None => code.to_owned(),
            };
            let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
            responses.insert(status, json!({ "description": about, "content": content }));
        }
        let parameters: Vec<Value> = self.parameters.iter().map(Parameter::describe).collect();
        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": format!("For: {}.", self.roles),
            "parameters": parameters,
            "responses": responses,
        });
        if let (Some(body), Some(described)) = (self.body, described.as_object_mut()) {
            let content = json!({ "application/json": { "schema": reference(body) } });
            let body = json!({ "required": true, "content": content });
            described.insert("requestBody".to_owned(), body);
        }
        described
    }
}

impl Parameter {
    fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.about,
            "schema": (self.schema)(),
        })
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

const JSON: &str = "application/json";

const KEY: Parameter = Parameter {
    name: "sha256",
    place: "path",
    about: "SHA-256 over the canonical PEM of the master's key, without its final newline",
    schema: schema::hash,
};
const KID: Parameter = Parameter {
    name: "kid",
    place: "path",
    about: "the same of a signing key",
    schema: schema::hash,
};
const MASTER: Parameter = Parameter {
    name: "id",
    place: "path",
    about: "the master's id",
    schema: schema::master_id,
};
const ALGORITHM: Parameter = Parameter {
    name: "algorithm",
    place: "query",
    about: "default: the master's setting, else PKCS1v15-SHA1",
    schema: schema::algorithm,
};
const SIGNER: Parameter = Parameter {
    name: "key",
    place: "query",
    about: "the signing key; default: the active one",
    schema: schema::hash,
};

/// Every route, in the order of [`router`](super::router).
pub(super) const OPERATIONS: [Operation; 9] = [
    Operation {
        method: Method::GET,
        path: "/v1/audit",
        id: "listAudit",
        summary: "The audit log, record by record as it is hashed, and where it ends",
        roles: "auditors",
        parameters: &[
            Parameter {
                name: "after",
                place: "query",
                about: "the records behind this one; default 0",
                schema: schema::count,
            },
            Parameter {
                name: "limit",
                place: "query",
                about: "default 100, at most 1000; a full page has a Link to the next",
                schema: schema::count,
            },
        ],
        body: None,
        answers: &[Answer {
            status: 200,
            about: "a page",
            content: &[(JSON, "AuditPage")],
        }],
        problems: &[
            Kind::BadRequest,
            Kind::Unprocessable,
            Kind::StoreUnavailable,
        ],
    },
    Operation {
        method: Method::GET,
        path: "/v1/masters",
        id: "listMasters",
        summary: "Every master that showed a key or was decided about",
        roles: "admins",
        parameters: &[
            Parameter {
                name: "after",
                place: "query",
                about: "the masters whose ids are behind this one",
                schema: schema::master_id,
            },
            Parameter {
                name: "limit",
                place: "query",
                about: "default and at most 1000; a page ends earlier where it has a thousand keys; a page that \
                        is not the last one has a Link to the next",
                schema: schema::count,
            },
        ],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "a page, in the order of the ids",
                content: &[(JSON, "Masters")],
            },
            NOT_MODIFIED,
        ],
        problems: &[Kind::BadRequest, Kind::Unprocessable],
    },
    Operation {
        method: Method::GET,
        path: "/v1/masters/{id}",
        id: "showMaster",
        summary: "One master",
        roles: "admins",
        parameters: &[MASTER],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "the master",
                content: &[(JSON, "Master")],
            },
            NOT_MODIFIED,
        ],
        problems: &[Kind::BadRequest, Kind::NotFound],
    },
    Operation {
        method: Method::POST,
        path: "/v1/masters/{id}/statements",
        id: "decide",
        summary: "Hand in a signed decision: accept, reject, revoke, forget, rename or reinstate",
        roles: "admins, each their own statements",
        parameters: &[MASTER],
        body: Some("SignedStatement"),
        answers: &[Answer {
            status: 200,
            about: "the master as it is after the decision",
            content: &[(JSON, "Master")],
        }],
        problems: &[
            Kind::BadRequest,
            Kind::StatementRefused,
            Kind::NotFound,
            Kind::Conflict,
            Kind::Unprocessable,
            Kind::StoreUnavailable,
        ],
    },
    Operation {
        method: Method::PUT,
        path: "/v1/signatures/{sha256}",
        id: "putSignature",
        summary: "Have a master's public key signed; repeating it is harmless",
        roles: "masters, each its own key",
        parameters: &[KEY, ALGORITHM],
        body: Some("Presentation"),
        answers: &[
            Answer {
                status: 200,
                about: "the signature, made before",
                content: &[(JSON, "Signature")],
            },
            Answer {
                status: 201,
                about: "the signature, made for this request",
                content: &[(JSON, "Signature")],
            },
            Answer {
                status: 202,
                about: "the key waits for an operator; Retry-After",
                content: &[(JSON, "Pending")],
            },
        ],
        problems: &[
            Kind::BadRequest,
            Kind::AcceptanceInvalid,
            Kind::KeyDenied,
            Kind::KeyRejected,
            Kind::KeyRevoked,
            Kind::NotYours,
            Kind::ProofRefused,
            Kind::Conflict,
            Kind::KeyNotCanonical,
            Kind::KeyUnfit,
            Kind::Unprocessable,
            Kind::HsmSaturated,
            Kind::HsmUnavailable,
            Kind::StoreUnavailable,
        ],
    },
    Operation {
        method: Method::GET,
        path: "/v1/signatures/{sha256}",
        id: "showSignature",
        summary: "Read a signature that was made before; never signs",
        roles: "the master itself, admins",
        parameters: &[KEY, ALGORITHM, SIGNER],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "the exact content of Salt's master_pubkey_signature, or JSON if that is \
                    accepted",
                content: &[("text/plain", "SignatureFile"), (JSON, "Signature")],
            },
            NOT_MODIFIED,
        ],
        problems: &[
            Kind::BadRequest,
            Kind::AcceptanceInvalid,
            Kind::KeyRejected,
            Kind::KeyRevoked,
            Kind::NotFound,
            Kind::Unprocessable,
            Kind::HsmUnavailable,
            Kind::StoreUnavailable,
        ],
    },
    Operation {
        method: Method::GET,
        path: "/v1/signing-keys",
        id: "listSigningKeys",
        summary: "The keys whose signatures minions should trust, and the store's id",
        roles: "everybody with a certificate",
        parameters: &[],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "all of them",
                content: &[(JSON, "SigningKeys")],
            },
            NOT_MODIFIED,
        ],
        problems: &[],
    },
    Operation {
        method: Method::GET,
        path: "/v1/signing-keys/{kid}",
        id: "showSigningKey",
        summary: "One signing key",
        roles: "everybody with a certificate",
        parameters: &[KID],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "the key",
                content: &[(JSON, "SigningKey")],
            },
            NOT_MODIFIED,
        ],
        problems: &[Kind::BadRequest, Kind::NotFound],
    },
    Operation {
        method: Method::GET,
        path: "/v1/signing-keys/{kid}/public.pem",
        id: "downloadSigningKey",
        summary: "The content of the minions' master_sign.pub",
        roles: "everybody with a certificate",
        parameters: &[KID],
        body: None,
        answers: &[
            Answer {
                status: 200,
                about: "PEM",
                content: &[("application/x-pem-file", "Pem")],
            },
            NOT_MODIFIED,
        ],
        problems: &[Kind::BadRequest, Kind::NotFound],
    },
];

const NOT_MODIFIED: Answer = Answer {
    status: 304,
    about: "as in If-None-Match",
    content: &[],
};

/// What any request may be answered.
const EVERYWHERE: &[Kind] = &[
    Kind::CertificateRefused,
    Kind::Forbidden,
    Kind::RequestTimeout,
    Kind::BodyTooLarge,
    Kind::TooManyRequests,
    Kind::Internal,
    Kind::Timeout,
    Kind::Unavailable,
];
