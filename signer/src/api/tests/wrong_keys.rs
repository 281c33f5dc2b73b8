//! What is sent in place of a master's key, and the answer to each: what is wrong, and not a byte
//! of what was sent.

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;

use super::*;

#[tokio::test]
async fn everything_that_is_not_the_one_spelling_of_an_rsa_key_is_refused_by_name() {
    let world = World::new().await;
    let key = MasterKey::generate();
    let good = key.public.canonical().to_owned();
    let other = MasterKey::generate().public.canonical().to_owned();
    let certificate = world.ca.pem();
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let elliptic = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let private = key.private.private_key_to_pem_pkcs8().unwrap();
    let pkcs1 = key
        .private
        .rsa()
        .unwrap()
        .public_key_to_pem_pkcs1()
        .unwrap();
    let wide = good.replace('\n', "").replacen("KEY-----", "KEY-----\n", 1);
    let wide = wide.replacen("-----END", "\n-----END", 1);
    let spellings = [
        ("no PEM", "the quick brown fox".to_owned()),
        ("empty", String::new()),
        ("two blocks", format!("{good}\n{other}")),
        ("preamble", format!("made by hand\n{good}")),
        ("trailer", format!("{good}\nmade by hand\n")),
        ("header", good.replacen("\n", "\nProc-Type: 4\n\n", 1)),
        ("CRLF", good.replace('\n', "\r\n")),
        ("CR", good.replace('\n', "\r")),
        ("vertical tab", good.replacen('\n', "\u{b}", 1)),
        ("next line", good.replacen('\n', "\u{85}", 1)),
        ("line separator", good.replacen('\n', "\u{2028}", 1)),
        ("byte order mark", format!("\u{feff}{good}")),
        ("blank before", format!(" {good}")),
        ("blank after", format!("{good} ")),
        ("two newlines", format!("{good}\n\n")),
        ("one line", wide),
        ("NUL", format!("{good}\0")),
        ("PKCS#1", String::from_utf8(pkcs1).unwrap()),
        ("certificate", certificate),
        (
            "EC key",
            String::from_utf8(elliptic.public_key_to_pem().unwrap()).unwrap(),
        ),
        ("private key", String::from_utf8(private).unwrap()),
        ("cut", good.lines().take(4).collect::<Vec<_>>().join("\n")),
    ];
    for (name, spelled) in spellings {
        let mut body = world.body("m1", &key);
        body["public_key"] = json!(spelled);
        let reply = world.put_body("m1", &signature_path(&key), body).await;
        let detail = reply.refused(422, "key-not-canonical");
        assert!(!detail.is_empty(), "{name}");
        for line in spelled
            .lines()
            .filter(|line| line.len() > 20 && !line.starts_with("---"))
        {
            let text = String::from_utf8_lossy(&reply.body);
            assert!(!text.contains(line), "{name}: {text}");
        }
    }
    assert!(world.service.store().state().masters.is_empty());
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_key_of_another_size_or_exponent_is_refused_by_name() {
    let world = World::new().await;
    let modulus = |bits: usize, last: u8| {
        let mut modulus = vec![0x5a; bits.div_ceil(8)];
        modulus[0] = if bits.is_multiple_of(8) {
            0x80
        } else {
            1 << (bits % 8 - 1)
        };
        *modulus.last_mut().unwrap() = last;
        modulus
    };
    for (modulus, exponent, reason) in [
        (modulus(1024, 1), &[1_u8, 0, 1][..], "bits"),
        (modulus(2047, 1), &[1, 0, 1], "bits"),
        (modulus(8192, 1), &[1, 0, 1], "bits"),
        (modulus(2048, 1), &[3], "exponent"),
        (modulus(2048, 1), &[1], "exponent"),
        (modulus(2048, 2), &[1, 0, 1], "even-modulus"),
    ] {
        let key = MasterKey {
            private: MasterKey::generate().private,
            public: Arc::new(PublicKey::from_components(&modulus, exponent).unwrap()),
        };
        let reply = world.put("m1", &key).await;
        reply.refused(422, "key-unfit");
        assert_eq!(reply.json()["reason"], reason);
    }
    assert!(world.service.store().state().masters.is_empty());
}

#[tokio::test]
async fn a_proof_from_the_future_is_refused_and_one_of_now_is_not() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.clock.advance(601);
    let early = world.body("m1", &key);
    world.clock.advance(-601);
    let reply = world.put_body("m1", &signature_path(&key), early).await;
    assert!(
        reply
            .refused(403, "proof-refused")
            .contains("601 seconds ahead")
    );
    assert_eq!(world.put("m1", &key).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_proof_is_of_no_use_over_another_tls_key_of_the_same_master() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let (path, body) = (signature_path(&key), world.body("m1", &key));
    let renewed = Peer {
        client_key: [7; 32],
        ..master("m1")
    };
    let reply = world
        .call(renewed, Method::PUT, &path, Some(body.clone()))
        .await;
    reply.refused(403, "proof-refused");
    assert_eq!(world.count(), 0);
    assert_eq!(
        world.put_body("m1", &path, body).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_by_name() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut request = Request::put(signature_path(&key)).extension(Arc::new(master("m1")));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let body = Body::from(world.body("m1", &key).to_string());
        let reply = world.send(request.body(body).unwrap()).await;
        reply.refused(415, "unsupported-media-type");
    }
    assert_eq!(world.count(), 0);
}
