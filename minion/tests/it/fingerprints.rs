//! Fingerprints against those of Salt, `sha256sum` and OpenSSL.
//!
//! `salt`: `salt.utils.crypt.pem_finger(FILE, sum_type="sha256")`, equal in 3006.30, 3007.17 and
//! 3008.5. `file`: `sha256sum < FILE`. `spki`: `openssl rsa -pubin -in FILE -outform DER |
//! sha256sum`. `hash`: `printf %s "$(cat FILE)" | sha256sum`.

use minion::verify::{Fingerprint, PublicKey};

struct Expected {
    file: &'static str,
    hash: &'static str,
    pem: &'static str,
    salt: &'static str,
    spki: &'static str,
}

const EXPECTED: [Expected; 3] = [
    Expected {
        pem: include_str!("../vectors/fingerprints/master.pub"),
        hash: "4bdf07a2877195d55b3f3dda233cebed13045170858b341a96b9d25459f66734",
        file: "7f5f8f8cd68e629655a21fa5277e6b5fd068d25e183aee580cead74158058052",
        spki: "16f5932c1652174e430405a9503f445ae9c643c734e802d3320826b35abbf2cd",
        salt: "84:29:39:40:48:53:76:2a:7d:64:1e:2e:39:c9:9a:17:9c:95:2d:85:9b:a7:08:4c:38:10:de:4e:c3:a1:c5:a5",
    },
    Expected {
        pem: include_str!("../vectors/fingerprints/master_sign.pub"),
        hash: "5e13dad744854457b99fa2beae816936de9fb8a5b04f30c3a8235495cca9f881",
        file: "bbff0cd09b5c65a932a0ce81a5e76315e4e111a6594a969297f0e1f9db5561d3",
        spki: "72a2e3784db6620578ca4cc60e213b71e9654c090534de1087d4d1893b9068f9",
        salt: "80:8b:a6:a5:6d:cc:6e:fa:15:d9:d0:2e:69:53:19:ec:15:b9:75:f5:1a:b3:be:c2:8b:07:c8:58:62:fb:1c:5a",
    },
    Expected {
        pem: include_str!("../vectors/fingerprints/other.pub"),
        hash: "a373cb7e2d68928c15f1fb717e750ffe480b88f8a311fdae6a453ecb6c990762",
        file: "b1c52f6176a07c718703fe844ee98dbcc6a9224bcf9723ddd8c19d8711b06849",
        spki: "a8268697d099b0909abd7873b59138afb028d1aa25ab27d633c2495c036e173c",
        salt: "26:08:3b:2d:ad:ba:98:14:67:44:4b:b5:22:cb:f4:97:f1:ae:27:00:6a:ec:26:aa:76:cb:17:f1:15:b0:6f:11",
    },
];

#[test]
fn each_fingerprint_is_the_one_that_its_tool_prints() {
    for expected in EXPECTED {
        let key = PublicKey::parse(expected.pem.as_bytes()).unwrap();
        assert_eq!(key.hash().to_string(), expected.hash);
        assert_eq!(Fingerprint::salt(&key).to_string(), expected.salt);
        assert_eq!(plain(Fingerprint::file(&key)), expected.file);
        assert_eq!(plain(Fingerprint::spki(&key).unwrap()), expected.spki);
    }
}

#[test]
fn a_key_hash_is_read_as_it_is_written_and_not_otherwise() {
    let hash = EXPECTED[0].hash;
    let key = PublicKey::parse(EXPECTED[0].pem.as_bytes()).unwrap();
    assert_eq!(hash.parse(), Ok(key.hash()));
    for wrong in [
        hash.to_uppercase(),
        hash[1..].to_owned(),
        format!("{hash}0"),
        format!("+{}", &hash[1..]),
        format!("é{}", &hash[2..]),
        String::new(),
    ] {
        assert!(
            wrong.parse::<minion::verify::KeyHash>().is_err(),
            "{wrong:?}"
        );
    }
}

fn plain(fingerprint: Fingerprint) -> String {
    fingerprint.to_string().replace(':', "")
}
