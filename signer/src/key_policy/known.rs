//! Keys whose private half is in documents, test suites or on web pages.
//!
//! A short list of those that are at hand for somebody who tries out a Salt master: it catches
//! copying, not weakness. By SHA-256 of the `SubjectPublicKeyInfo`, as Boulder and badkeys name
//! keys.

use minion::verify::PublicKey;
use sha2::{Digest, Sha256};

use super::Refusal;

/// The key is none whose private half was published.
pub(super) fn unpublished(key: &PublicKey) -> Result<(), Refusal> {
    let spki = key.to_der()?;
    let hash = hex::encode(Sha256::digest(spki));
    match KNOWN.iter().find(|(_, keys)| keys.contains(&hash.as_str())) {
        Some((origin, _)) => Err(Refusal::Known { origin }),
        None => Ok(()),
    }
}

/// Where the private keys can be read, and the SHA-256 of each `SubjectPublicKeyInfo`.
const KNOWN: [(&str, &[&str]); 11] = [
    (
        "testRSA2048 of RFC 9500, section 2.1, a key for tests",
        &["8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878"],
    ),
    (
        "PRIVKEY_DATA of Salt's own test suite",
        &["bf5026af5a5755507acc85120d41f19b2002d68e2b4deea895f111297f28e786"],
    ),
    (
        "PUB_KEY2 of Salt's own test suite",
        &["48aeb6dce291423e07ba77db08ab1d1279544a9df1517a349856d6b9c8a8a2fd"],
    ),
    (
        "the example key of RFC 7515, appendix A.2",
        &["6fd13c2435a361e7c588cd17f55f5ad3df0177a66c1727a6a200845f4d7ab88c"],
    ),
    (
        "the example key of the JWT debugger at jwt.io",
        &["f56c8b01227f62ddbc16eb29a6ac0b310e276760a5e06302fa881a35146f6bc7"],
    ),
    (
        "a key of Project Wycheproof",
        &[
            "0178bc520276db2e41a7f56b2149c2b2ab0f6d5db8c4c208d1a52ddf3c477e8b",
            "07d90ae93fae822a44a791a6cc029fde1c215e0fa3b2d333a7eb24d4d121d5ee",
            "081550888d84a6b73cc3d5465c38d070348f95842638583e2bf365b354982222",
            "0cd1578aee70bd75e47e3b47b1a7d1efa27e19662fba4bd89d0f2b1ca59fc6c7",
            "185a7e9a0db5616034a4b4309653399d3f2d15eb2c21f828e654b874dc3b8ab4",
            "1973bad4dc097b04dc94584fb882a3b925562fcd0d7374e4f6763895ab429483",
            "1fd93e819a707559b2c7671849dee6dc3ae2ca66d51cdcb0c41f9b18d4c703a0",
            "296fc605ce8e4ca0c4e9c87ffa15f8f787a1c6abca3fa1adc34319d9bbb8d4cb",
            "2b11fbe1e905ac55743739631c2ae22892fc50fd3e6b0a71a136d3df51fd98b4",
            "410d3f5c92ed60b69b8e1a761d840f57805b222641e515a8d5828d0416c5a53c",
            "4160808480d245c7b5571cbfdfd6ef19397d07ecfd7e127028023aadeb9298ae",
            "456f6159fcc83f250d00dfbbdbdcc8ce034c6104f2adf09ce25cee2d4b25b3a3",
            "48368b6e7f6773ffc59a86875a72afc1973b92448def20770fb68f451d0d229e",
            "4aa7d18d0f94b4eb2759d5634d3b5fdf4053770af49cdc046d52e29e3e1dfc00",
            "601b94cec175c428c564b54088f0f7b37605a16270134a0050d77558ba738e5e",
            "814a635e7182046c15019ae5fe828efe10e78dbacb43249e3ccaf8ba17c665a4",
            "81615dfc154beb186f516784b388181eebb9706d3af2ce5a626bb554eec8dac2",
            "8cf87e5dfc7c983c771eef5e769e0d839583074d65d3e71c2ec7087b305e8fcc",
            "945bc64ab7409510fa216feb7243ade40bf27a74aa43bdc105de6c26e9b93a6d",
            "9944af3b9752ee825bc279a47f8899eaed78b00e91105e1fada0190afbc5bde1",
            "a200c8c67cad15ad1c7f8ff372c2eb0eb9551c99c211e196351c3050f50a2f1c",
            "b0cc384701e8f115be2bbf1909940d14e519b6b42dd0079177d71d23899382cf",
            "b5a30629c9c652686e2f8b0f1f3cbb1746b38de66b8f90827d3bf8b92ec3672a",
            "b6399a1c3c3f4a3cd7426973347eadcba8bf9bf4a3ba2863cc1c4486aac65d11",
            "bb936fd7008c3ac5f3f9c68e14da2d70a9574aa88fdc1970222182bbd1f5a2cc",
            "bd274e6d21b9ee43d08a61715173db15143ce7bf76a6d6615c7f0c35f8dbb2fc",
            "bd31a40b211e9e634ffbef7391a27d68e8df53e1e2a58d71aa7273b5f29e472c",
            "c7bcd755110d58f20a797954074256068e72fcb4b6b04e5079cd28776e369b37",
            "d41be1e07ff6dccfdd4be67c6f4f424f02eb455d277484a244e960e009931684",
            "d4546499e45893dc11f095526b431efc6c64ba8235459239bd849302936728f0",
            "e11794cd97f4ee743a70618943a00fb4027da7372fdd00f5eca31ed14f195066",
            "ea88f583b51a16484a1f776521fbcd4c361e38a0459f0356f5b48fb772f1f71e",
            "f5876f9023d036efa06c326c15fa23c6578cff4e498b8d106ddef1a8450a20f0",
            "fbe8ead2490580aa188c0648cfbb1ad88028a88489d1c904a9e2bc223a19d205",
        ],
    ),
    (
        "a key of the tests of AWS-LC",
        &["599ced801a75f36b045060b8f51859485b56c1ec7a4cf78feb6454eff14283b7"],
    ),
    (
        "a key of the tests of CPython",
        &[
            "0a8b54336a8f109dbf0f1cf6f8ba46f9e31aeaf0c07af3fa56868f0487d895da",
            "8064304dc78d97bb96dcf71c5edeb7abe8412efeab98972a9749df0ab065ad37",
            "a0eb5a3d1414086256cfd994b4afe2c759376087269d7cede24af0dd95c30ab6",
            "c3e2fc4b8742a19c114912a4fcdd9d0c58e3481c6eb4ce447b778bb7edfdde83",
        ],
    ),
    (
        "a key of the tests of PyCryptodome",
        &["370fb30affeb0c77516cc7f6dd40ef4f79d98659cbf9795a3e527861e695d507"],
    ),
    (
        "a key of the tests of the crate openssl",
        &[
            "3e98ca97fdf951778582aae6952171da4d74effb83348ab81306a5daadd5f6c5",
            "5474006cd97aee79a464934449e4cabd3c5be5b42677599a5a730a1bfb637006",
            "73e46979312982f178302f1363f9160a92f418173897a2b862961bf11790bd9a",
        ],
    ),
    (
        "an example key of the crate rsa",
        &["efeda9bfead9fd0594f6a5cf6fdf6c163116a3b1fad6d73cea05295b68fd1794"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_policy::testing::RFC_9500;

    #[test]
    fn a_published_test_key_is_named() {
        let key = PublicKey::parse(RFC_9500.as_bytes()).unwrap();
        let refusal = unpublished(&key).unwrap_err();
        assert!(refusal.to_string().contains("RFC 9500"), "{refusal}");
    }

    #[test]
    fn the_list_is_well_formed_and_names_no_key_twice() {
        let mut seen = std::collections::HashSet::new();
        for (origin, keys) in KNOWN {
            assert!(!origin.is_empty() && !keys.is_empty());
            for hash in keys {
                let bytes = hex::decode(hash).unwrap();
                assert_eq!((bytes.len(), hex::encode(bytes)), (32, (*hash).to_owned()));
                assert!(seen.insert(*hash), "{hash}");
            }
        }
        assert!(seen.len() >= 40, "{}", seen.len());
    }
}
