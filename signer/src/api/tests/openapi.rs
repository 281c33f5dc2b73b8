//! The description of the API against the API.

use std::collections::BTreeSet;

use super::*;
use crate::api::openapi;

#[test]
fn the_committed_document_is_the_generated_one() {
    let committed = include_str!("../../../../docs/openapi.json");
    assert!(
        committed == openapi::text(),
        "run `mastersign openapi > docs/openapi.json`"
    );
}

#[tokio::test]
async fn every_operation_is_a_route_and_every_route_an_operation() {
    let world = World::new().await;
    let key = MasterKey::generate();
    let hash = key.public.hash().to_string();
    let mut described = BTreeSet::new();
    for operation in &openapi::OPERATIONS {
        let path = operation
            .path
            .replace("{id}", "m1")
            .replace("{sha256}", &hash)
            .replace("{kid}", &hash);
        let (method, known) = (operation.method.clone(), path.clone());
        let reply = world
            .call(admin("ada"), method, &path, Some(json!({})))
            .await;
        if matches!(reply.status.as_u16(), 404 | 405) {
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(!detail.contains("the API has no such path"), "{known}");
            assert!(!detail.contains("not with this method"), "{known}");
        }
        described.insert((operation.method.to_string(), path));
    }
    let routes = routes(&key).into_iter();
    let routes: BTreeSet<_> = routes
        .map(|(method, path)| (method.to_string(), path))
        .collect();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn real_answers_are_as_they_are_described() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let waiting = MasterKey::generate();
    let pending = world.put("m2", &waiting).await;
    assert_eq!(pending.status, StatusCode::ACCEPTED);
    check("Pending", &pending.json());
    check("Signature", &world.put("m1", &key).await.json());
    let ada = || admin("ada");
    check("Masters", &world.get(ada(), "/v1/masters").await.json());
    check("Master", &world.get(ada(), "/v1/masters/m1").await.json());
    check(
        "SigningKeys",
        &world.get(ada(), "/v1/signing-keys").await.json(),
    );
    check("Problem", &world.get(ada(), "/v1/masters/m9").await.json());
    let auditor = peer("mastersign:auditor:eve");
    check("AuditPage", &world.get(auditor, "/v1/audit").await.json());
    check("Presentation", &world.body("m1", &key));
    let statement = world.statement(Verb::Revoke, "m1", Some(key.public.hash()));
    check(
        "SignedStatement",
        &serde_json::to_value(world.ada.sign(&statement)).unwrap(),
    );
}

fn check(name: &str, value: &Value) {
    let document = openapi::document();
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "{name} is not described");
    conform(&document, schema, value, name);
}

/// As much of JSON Schema as the document uses.
fn conform(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return conform(document, target, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices
            .iter()
            .find(|choice| (choice["type"] == "null") == value.is_null());
        return conform(document, fits.unwrap(), value, at);
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{at}: {value}");
    }
    if !schema["const"].is_null() {
        assert_eq!(&schema["const"], value, "{at}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(one) => assert_eq!(one, kind, "{at}"),
        Value::Array(some) => assert!(some.contains(&json!(kind)), "{at}: {value}"),
        _ => {}
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for value in values {
            conform(document, items, value, at);
        }
    }
    if let (Some(members), Some(properties)) = (value.as_object(), schema.get("properties")) {
        for (name, value) in members {
            let schema = properties.get(name);
            let schema = schema.unwrap_or_else(|| panic!("{at}.{name} is not described"));
            conform(document, schema, value, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(
                members.contains_key(name.as_str().unwrap()),
                "{at}.{name} is missing"
            );
        }
    }
}
