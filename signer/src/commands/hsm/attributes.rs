//! Keys and tokens in the words of the answers.

use cryptoki::object::AttributeType;
use hsm_config::Uri;
use minion::verify::Fingerprint;
use serde_json::{Map, Value, json};

use super::inside::shown;
use crate::hsm::token::{KeyAttributes, SigningKey, TokenInfo, Verdict};

/// The URI of a token.
pub(super) fn token_uri(token: &TokenInfo) -> Uri {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Uri {
        token: given(&token.label),
        serial: given(&token.serial),
        ..Uri::default()
    }
}

/// The URI of a key, ready for `uri = "…"` in a `[[hsm]]` section.
pub(super) fn key_uri(token: &TokenInfo, key: &SigningKey, module: &std::path::Path) -> Uri {
    Uri {
        id: key.id.clone(),
        object: (!key.label.is_empty()).then(|| key.label.clone()),
        module_path: Some(module.to_owned()),
        ..token_uri(token)
    }
}

/// The attributes as JSON: by name; those that the module does not report are null.
pub(super) fn attributes_json(attributes: &KeyAttributes) -> Value {
    let flags = KeyAttributes::FLAGS.map(|flag| (flag.to_string(), json!(attributes.flag(flag))));
    let mut object: Map<String, Value> = flags.into_iter().collect();
    let mechanisms = attributes
        .allowed_mechanisms
        .as_ref()
        .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
    object.insert(
        AttributeType::AllowedMechanisms.to_string(),
        json!(mechanisms),
    );
    Value::Object(object)
}

/// The attributes for people: what is true, what is false, and what is not reported.
pub(super) fn attributes_lines(attributes: &KeyAttributes) -> Vec<String> {
    let named = |wanted: Option<bool>| {
        let names: Vec<String> = KeyAttributes::FLAGS
            .into_iter()
            .filter(|flag| attributes.flag(*flag) == wanted)
            .map(|flag| flag.to_string().trim_start_matches("CKA_").to_owned())
            .collect();
        names.join(" ")
    };
    let mut lines = Vec::new();
    for (word, wanted) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("not reported", None),
    ] {
        let names = named(wanted);
        if !names.is_empty() {
            lines.push(format!("{word}: {names}"));
        }
    }
    let allowed = match &attributes.allowed_mechanisms {
        Some(allowed) => {
            let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            names.join(" ")
        }
        None => "not reported, or not all of them are known".to_owned(),
    };
    lines.push(format!("allowed mechanisms: {allowed}"));
    lines
}

/// The verdict as JSON.
pub(super) fn verdict_json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::GeneratedInside => json!({"generated_inside": true}),
        Verdict::NotProven { missing } => json!({"generated_inside": false, "missing": missing}),
        Verdict::Refused { why } => json!({"generated_inside": false, "unfit": why}),
    }
}

/// The key as JSON, without what depends on the command.
pub(super) fn key_json(key: &SigningKey) -> Value {
    json!({
        "id": key.id.as_ref().map(ToString::to_string),
        "label": shown(&key.label),
        "bits": key.public.bits(),
        "public_key_sha256": key.public.hash().to_string(),
        "fingerprints": {
            "salt": Fingerprint::salt(&key.public).to_string(),
            "file": Fingerprint::file(&key.public).to_string(),
            "spki": Fingerprint::spki(&key.public).ok().map(|print| print.to_string()),
        },
        "attributes": attributes_json(&key.attributes),
        "verdict": verdict_json(&key.attributes.verdict()),
    })
}

/// The token as JSON.
pub(super) fn token_json(token: &TokenInfo) -> Value {
    json!({
        "label": token.label,
        "serial": token.serial,
        "manufacturer": token.manufacturer,
        "model": token.model,
        "firmware": token.firmware,
        "slot": token.slot.id(),
        "initialized": token.initialized,
        "pin_initialized": token.pin_initialized,
        "pin_count_low": token.pin_count_low,
        "pin_final_try": token.pin_final_try,
        "pin_locked": token.pin_locked,
        "write_protected": token.write_protected,
        "max_sessions": token.max_sessions,
    })
}
