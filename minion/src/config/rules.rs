//! Options that would weaken what this minion insists on, and options without effect.
//!
//! A stock configuration may say that a master need not prove itself. Passing over such a line
//! would leave its author in the belief that it counts, so it is refused with the reason.

use serde_json::Value;

use super::ConfigError;
use super::option::Options;

/// Refuses what must not be said, and tells what is said in vain.
pub(super) fn check(options: &mut Options) -> Result<Vec<String>, ConfigError> {
    for rule in REFUSED {
        let Some(found) = options.take(rule.option)? else {
            continue;
        };
        if (rule.applies)(&found.value) {
            return Err(found.refused(rule.reason));
        }
    }
    let mut warnings = Vec::new();
    for rule in IDLE {
        let Some(found) = options.take(rule.option)? else {
            continue;
        };
        if (rule.applies)(&found.value) {
            let Rule { option, reason, .. } = rule;
            warnings.push(format!("{}: `{option}` {reason}", found.file().display()));
        }
    }
    Ok(warnings)
}

struct Rule {
    option: &'static str,
    applies: fn(&Value) -> bool,
    reason: &'static str,
}

const REFUSED: &[Rule] = &[
    Rule {
        option: "open_mode",
        applies: is_true,
        reason: "would let any master replace the key of a known one; remove the line: this minion verifies every master",
    },
    Rule {
        option: "verify_master_pubkey_sign",
        applies: is_not_true,
        reason: "is not True, and a master whose key nobody signed is never used; put master_sign.pub into pki_dir and \
                 write True, or remove the line",
    },
    Rule {
        option: "transport",
        applies: |value| value != "zeromq",
        reason: "is not zeromq, the only transport that this minion has; write `transport: zeromq` or remove the line",
    },
    Rule {
        option: "minimum_auth_version",
        applies: |value| value.as_i64().is_none_or(|version| version < 3),
        reason: "is below 3; older versions of the protocol allow requests without token and session key \
                 (CVE-2025-62349), and this minion speaks no other than 3. Remove the line",
    },
    Rule {
        option: "id_function",
        applies: is_set,
        reason: "would run an execution module, and this minion has none; write the result as `id`",
    },
    Rule {
        option: "keys.cache_driver",
        applies: |value| value != "localfs_key",
        reason: "keeps the minion's key elsewhere than in pki_dir; only localfs_key, the default, is supported",
    },
    Rule {
        option: "source_interface_name",
        applies: is_set,
        reason: "is not supported; write the address of that interface as `source_address`",
    },
];

const IDLE: &[Rule] = &[
    Rule {
        option: "always_verify_signature",
        applies: |_| false,
        reason: "",
    },
    Rule {
        option: "sign_pub_messages",
        applies: is_not_true,
        reason: "has no effect: this minion never takes a publication without its master's signature. Masters that have \
                 `sign_pub_messages: False` cannot give it jobs",
    },
    Rule {
        option: "permissive_pki_access",
        applies: is_true,
        reason: "has no effect: a minion.pem that others may read is refused",
    },
    Rule {
        option: "fips_mode",
        applies: is_true,
        reason: "has no effect: set signing_algorithm and encryption_algorithm to the names with SHA224",
    },
    Rule {
        option: "auth_retries",
        applies: is_set,
        reason: "has no effect: master_tries is the bound",
    },
    Rule {
        option: "file_client",
        applies: |value| value != "remote",
        reason: "has no effect: this minion has no states and takes its jobs from masters",
    },
    Rule {
        option: "minion_sign_messages",
        applies: is_true,
        reason: "has no effect: requests are authenticated by the session key",
    },
];

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

fn is_not_true(value: &Value) -> bool {
    !is_true(value)
}

/// What Python takes for true.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(value) => !value.is_empty(),
        Value::Object(value) => !value.is_empty(),
    }
}
