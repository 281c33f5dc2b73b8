//! `key.*` (Salt 3008.5, `salt/modules/key.py`).

use openssl::hash::{MessageDigest, hash};

use super::{Failure, Job, Step};
use crate::jobs::arguments::Arguments;
use crate::jobs::python::type_name;
use crate::verify::PublicKey;
use crate::wire::msgpack::Value;

pub(super) fn finger(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    fingerprint(job.context.key, arguments.parameter(0), job)
}

/// Salt answers with an empty text before it has a master's key.
pub(super) fn finger_master(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    match &job.context.master {
        Some(master) => fingerprint(master.key, arguments.parameter(0), job),
        None => Ok(Step::Done("".into())),
    }
}

/// Salt 3008.5, `salt/utils/crypt.py`, `pem_finger`: the body lines of the PEM with their LFs,
/// under any hash that Python's `hashlib` has by name.
fn fingerprint(key: &PublicKey, hash_type: &Value, job: &Job<'_>) -> Result<Step, Failure> {
    let name = match hash_type {
        Value::Nil => job.context.hash_type,
        given => given.as_text().ok_or_else(|| {
            let kind = type_name(given);
            Failure::Type(format!("attribute name must be string, not '{kind}'"))
        })?,
    };
    let unknown = || {
        Failure::Exception(format!(
            "AttributeError: module 'hashlib' has no attribute '{name}'"
        ))
    };
    let digest = digest(name).ok_or_else(unknown)?;
    let body = key.canonical().lines();
    let body = body.filter(|line| !line.contains("-----"));
    let text: String = body.flat_map(|line| [line, "\n"]).collect();
    let digest = hash(digest, text.as_bytes()).map_err(|_| unknown())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Step::Done(pairs.join(":").as_str().into()))
}

fn digest(name: &str) -> Option<MessageDigest> {
    Some(match name {
        "md5" => MessageDigest::md5(),
        "sha1" => MessageDigest::sha1(),
        "sha224" => MessageDigest::sha224(),
        "sha256" => MessageDigest::sha256(),
        "sha384" => MessageDigest::sha384(),
        "sha512" => MessageDigest::sha512(),
        "sha3_224" => MessageDigest::sha3_224(),
        "sha3_256" => MessageDigest::sha3_256(),
        "sha3_384" => MessageDigest::sha3_384(),
        "sha3_512" => MessageDigest::sha3_512(),
        _ => return None,
    })
}
