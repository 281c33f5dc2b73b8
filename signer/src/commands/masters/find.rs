//! Whose key it is that somebody has a fingerprint of.

use minion::verify::PublicKey;
use serde_json::{Value, json};

use super::fingerprint::{Given, Name};
use super::listing;
use crate::client::{Master, MasterKey, WrongKey};

/// A key with this fingerprint.
#[derive(Debug)]
pub(super) struct Match<'m> {
    master: &'m Master,
    key: &'m MasterKey,
    name: Name,
}

/// Every key that has this fingerprint in one of its forms.
pub(super) fn find<'m>(masters: &'m [Master], given: &Given) -> Vec<Match<'m>> {
    let keys = masters
        .iter()
        .flat_map(|master| master.keys.iter().map(move |key| (master, key)));
    keys.filter_map(|(master, key)| {
        let name = match &key.public_key {
            None => given.is_name_of(key.sha256),
            Some(text) => {
                let public = PublicKey::parse(text.as_bytes()).ok()?;
                // A key that is not the one it is called is nobody's.
                (public.hash() == key.sha256).then_some(())?;
                given.matches(&public)
            }
        }?;
        Some(Match { master, key, name })
    })
    .collect()
}

/// For people: each key with everything that there is to compare.
pub(super) fn text(matches: &[Match<'_>], given: &Given) -> Result<String, WrongKey> {
    let mut parts = Vec::new();
    for Match { master, key, name } in matches {
        let described = listing::describe(key)?;
        parts.push(format!("{}: {name}\n{described}", master.id));
    }
    if given.digest().is_weak() {
        parts.push(format!(
            "Another key with the same {} can be made, so this decides nothing: compare the line `salt` with what the \
             master shows with hash_type: sha256.",
            given.digest()
        ));
    }
    Ok(parts.join("\n"))
}

/// For programs.
pub(super) fn document(matches: &[Match<'_>]) -> Value {
    let entry = |found: &Match<'_>| {
        json!({
            "id": found.master.id,
            "sha256": found.key.sha256.to_string(),
            "status": found.key.status,
            "form": found.name.to_string(),
            "weak": found.name.digest.is_weak(),
        })
    };
    matches.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use openssl::hash::{MessageDigest, hash};
    use openssl::rsa::Rsa;

    use super::*;
    use crate::client::KeyStatus;

    fn master(id: &str) -> Master {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        let key = PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap();
        Master {
            id: id.parse().unwrap(),
            generation: 1,
            barred: false,
            keys: vec![MasterKey {
                sha256: key.hash(),
                status: KeyStatus::Pending,
                since: "2026-11-22T02:25:06Z".parse().unwrap(),
                public_key: Some(key.canonical().to_owned()),
            }],
        }
    }

    fn md5_of_the_file(master: &Master) -> Given {
        let file = format!("{}\n", master.keys[0].public_key.as_ref().unwrap());
        let digest = hash(MessageDigest::md5(), file.as_bytes()).unwrap();
        Given::parse(&hex::encode(digest)).unwrap()
    }

    #[test]
    fn a_weak_fingerprint_finds_its_key_and_says_that_it_decides_nothing() {
        let masters = [master("m1"), master("m2")];
        let given = md5_of_the_file(&masters[1]);
        let found = find(&masters, &given);
        assert_eq!(found.len(), 1);
        let text = text(&found, &given).unwrap();
        assert!(text.starts_with("m2: the MD5 of the whole file"), "{text}");
        let salt = masters[1].keys[0].fingerprints().unwrap().salt;
        assert!(text.contains(&format!("salt   {salt}")), "{text}");
        assert!(text.contains("decides nothing"), "{text}");
        let document = document(&found);
        assert_eq!(document[0]["id"], "m2");
        assert_eq!(document[0]["weak"], true);
    }

    #[test]
    fn a_strong_one_finds_its_key_and_says_no_more_also_when_only_its_name_is_left() {
        let mut masters = [master("m1"), master("m2")];
        let given = Given::parse(&masters[0].keys[0].sha256.to_string()).unwrap();
        for _ in 0..2 {
            let found = find(&masters, &given);
            let text = text(&found, &given).unwrap();
            assert!(text.starts_with("m1: the key's SHA-256\n"), "{text}");
            assert!(!text.contains("decides nothing"), "{text}");
            assert_eq!(document(&found)[0]["weak"], false);
            masters[0].keys[0].public_key = None;
        }
        assert!(find(&masters[1..], &given).is_empty());
    }
}
