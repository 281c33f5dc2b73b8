//! The signature file of a master, byte by byte: what a minion would make of it.

use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

use super::finding::Finding;

/// Judges the file's content for this key under this signing key.
pub(super) fn look(
    path: &str,
    content: Option<&[u8]>,
    key: &PublicKey,
    pinned: &PublicKey,
) -> Finding {
    let what = "signature file";
    let fetch = "mastersign fetch";
    let Some(content) = content else {
        return Finding::failure(
            what,
            format!("there is no {path}; a salt-master that is told to serve one does not start"),
            fetch,
        );
    };
    let Ok(signature) = Signature::from_file(content) else {
        return Finding::failure(
            what,
            format!(
                "{path} is not base64 on one line: a stock minion that gets it hangs at sign-in \
                 for ever (Salt 3006 to 3008)"
            ),
            format!("{fetch}, and restart salt-master at once"),
        );
    };
    let by = |algorithm: &Algorithm| pinned.verify(*algorithm, key, &signature).is_ok();
    if let Some(algorithm) = Algorithm::ALL.iter().find(|algorithm| by(algorithm)) {
        let moved = match algorithm {
            Algorithm::Sha1 => {
                "minions verify it with their default signing_algorithm; to move to SHA-224, set \
                 signing_algorithm: PKCS1v15-SHA224 on the minions (not the master's \
                 publish_signing_algorithm, which is about publications) and fetch with --algorithm"
            }
            Algorithm::Sha224 => "minions need signing_algorithm: PKCS1v15-SHA224 for it",
        };
        return Finding::good(what, format!("{path} verifies, {algorithm}; {moved}"));
    }
    if with_newline(&signature, key, pinned) {
        return Finding::failure(
            what,
            format!(
                "{path} was made over the key with its final newline, as salt-key of several \
                 releases does (saltstack/salt #68930, #66259): no minion accepts it"
            ),
            fetch,
        );
    }
    Finding::failure(
        what,
        format!(
            "{path} is not by the pinned signing key over this master's key {}: it is of another \
             key, or of an earlier one",
            key.hash()
        ),
        format!("{fetch}; `mastersign verify` tells more about the file"),
    )
}

fn with_newline(signature: &Signature, key: &PublicKey, pinned: &PublicKey) -> bool {
    [MessageDigest::sha1(), MessageDigest::sha224()]
        .into_iter()
        .any(|digest| {
            let verified = PKey::public_key_from_pem(pinned.to_file().as_bytes()).and_then(|by| {
                let mut verifier = Verifier::new(digest, &by)?;
                verifier.update(key.to_file().as_bytes())?;
                verifier.verify(signature.as_bytes())
            });
            verified.unwrap_or(false)
        })
}

#[cfg(test)]
mod tests {
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::sign::Signer;

    use super::super::finding::Level;
    use super::*;

    fn public(key: &PKey<Private>) -> PublicKey {
        let pem = key.public_key_to_pem().unwrap();
        PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap()
    }

    fn sign(by: &PKey<Private>, message: &str) -> Vec<u8> {
        let mut signer = Signer::new(MessageDigest::sha1(), by).unwrap();
        let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
        Signature::new(signature).to_file().into_bytes()
    }

    #[test]
    fn each_way_to_be_wrong_has_its_name() {
        let make = || PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let (signing, master, other) = (make(), make(), make());
        let (pinned, key) = (public(&signing), public(&master));
        let judged = |content: Option<&[u8]>| look("f", content, &key, &pinned);
        let good = judged(Some(&sign(&signing, key.canonical())));
        assert_eq!(good.level(), Level::Good);
        assert!(good.text().contains("publish_signing_algorithm"));
        for (content, expected) in [
            (None, "does not start"),
            (Some(b"%%%".to_vec()), "hangs at sign-in"),
            (Some(sign(&signing, &key.to_file())), "#68930"),
            (Some(sign(&other, key.canonical())), "another key"),
            (
                Some(sign(&signing, public(&other).canonical())),
                "an earlier one",
            ),
        ] {
            let found = judged(content.as_deref());
            assert_eq!(found.level(), Level::Failure, "{expected}");
            assert!(found.text().contains(expected), "{}", found.text());
        }
    }
}
