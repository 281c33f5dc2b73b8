//! Handshakes of clients that should get in, and of all that should not.

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{AlertDescription, CertificateError, Error, OtherError};
use time::Duration;
use tokio::io::AsyncReadExt;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::peer::{Peer, PeerError};
use super::testing::{Authority, Leaf, Pair, Setting};
use super::*;
use crate::authorize::{CertificateError as Unnamed, IdentityError};
use crate::clock::{Clock, SystemClock};

#[tokio::test]
async fn each_authority_vouches_for_its_own_identities() {
    let setting = Setting::new();
    for (authority, uri) in [
        (&setting.masters, "mastersign:master:salt-1"),
        (&setting.operators, "mastersign:admin:jo"),
        (&setting.operators, "mastersign:auditor:jo"),
        (&setting.operators, "mastersign:metrics:prometheus"),
    ] {
        let pair = authority.client(uri);
        let peer = handshake(&setting, Some(&pair)).await.unwrap();
        assert_eq!(peer.identity.to_string(), uri);
        assert_eq!(peer, Peer::from_certificate(&pair.der).unwrap());
    }
}

#[tokio::test]
async fn a_certificate_of_the_other_authority_is_from_an_unknown_issuer() {
    let setting = Setting::new();
    for (authority, uri) in [
        (&setting.masters, "mastersign:admin:jo"),
        (&setting.masters, "mastersign:auditor:jo"),
        (&setting.operators, "mastersign:master:salt-1"),
        (&Authority::new("other"), "mastersign:master:salt-1"),
        (&Authority::new("other"), "mastersign:admin:jo"),
    ] {
        let error = handshake(&setting, Some(&authority.client(uri)))
            .await
            .unwrap_err();
        assert_eq!(
            error.server,
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        );
        assert_eq!(
            error.client,
            Error::AlertReceived(AlertDescription::UnknownCA)
        );
    }
}

#[tokio::test]
async fn an_authority_under_the_operators_one_makes_no_operators() {
    let setting = Setting::around(Authority::root("masters"), Authority::root("operators"));
    for uri in ["mastersign:admin:jo", "mastersign:auditor:jo"] {
        let below = setting.operators.subordinate("below");
        let mut pair = below.client(uri);
        pair.others = vec![below.der.clone(), setting.operators.der.clone()];
        let error = handshake(&setting, Some(&pair)).await.unwrap_err();
        assert_eq!(
            error.server,
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        );
    }
    // Whoever shows the root as well shows nothing wrong, and masters may come from a branch.
    let mut pair = setting.operators.client("mastersign:admin:jo");
    pair.others = vec![setting.operators.der.clone()];
    handshake(&setting, Some(&pair)).await.unwrap();
    let below = setting.masters.subordinate("below");
    let mut pair = below.client("mastersign:master:salt-1");
    pair.others = vec![below.der.clone()];
    handshake(&setting, Some(&pair)).await.unwrap();
}

#[tokio::test]
async fn an_authority_of_the_same_name_is_not_the_same() {
    let setting = Setting::new();
    let pair = Authority::new("operators").client("mastersign:admin:jo");
    let error = handshake(&setting, Some(&pair)).await.unwrap_err();
    let expected = Error::InvalidCertificate(CertificateError::BadSignature);
    assert_eq!(error.server, expected);
}

#[tokio::test]
async fn no_certificate_is_no_connection() {
    let error = handshake(&Setting::new(), None).await.unwrap_err();
    assert_eq!(error.server, Error::NoCertificatesPresented);
    assert_eq!(
        error.client,
        Error::AlertReceived(AlertDescription::CertificateRequired)
    );
}

#[tokio::test]
async fn exactly_one_uri_says_who_somebody_is() {
    let setting = Setting::new();
    let (one, two) = ("mastersign:master:salt-1", "mastersign:master:salt-2");
    let refused: [(&[&str], Unnamed); 7] = [
        (&[], Unnamed::NoIdentity),
        (&[one, two], Unnamed::SeveralUris),
        (&[one, one], Unnamed::SeveralUris),
        (&[one, "spiffe://example.org/salt"], Unnamed::SeveralUris),
        (
            &["spiffe://example.org/salt"],
            Unnamed::Identity(IdentityError::Scheme),
        ),
        (
            &["mastersign:root:jo"],
            Unnamed::Identity(IdentityError::Role),
        ),
        (
            &["MASTERSIGN:master:salt-1"],
            Unnamed::Identity(IdentityError::Scheme),
        ),
    ];
    for (uris, expected) in refused {
        let pair = setting.masters.issue(&Leaf::client(uris));
        let error = handshake(&setting, Some(&pair)).await.unwrap_err();
        let Error::InvalidCertificate(CertificateError::Other(OtherError(source))) = error.server
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            source.downcast_ref(),
            Some(&PeerError::Identity(expected)),
            "{uris:?}"
        );
    }
}

#[tokio::test]
async fn a_server_certificate_is_no_client_certificate() {
    let setting = Setting::new();
    let leaf = Leaf {
        usage: ExtendedKeyUsagePurpose::ServerAuth,
        ..Leaf::client(&["mastersign:master:salt-1"])
    };
    let pair = setting.masters.issue(&leaf);
    assert!(handshake(&setting, Some(&pair)).await.is_err());
    assert_eq!(Peer::from_certificate(&pair.der), Err(PeerError::Usage));
}

#[tokio::test]
async fn a_certificate_that_ended_is_refused() {
    let setting = Setting::new();
    let leaf = Leaf {
        ends_in: -Duration::hours(1),
        ..Leaf::client(&["mastersign:master:salt-1"])
    };
    let error = handshake(&setting, Some(&setting.masters.issue(&leaf)))
        .await
        .unwrap_err();
    assert_eq!(
        error.client,
        Error::AlertReceived(AlertDescription::CertificateExpired)
    );
}

#[tokio::test]
async fn nothing_lets_a_client_come_back_without_its_certificate() {
    let setting = Setting::new();
    let tls = ServerTls::load(&setting.files(), SystemClock.now()).unwrap();
    assert_eq!(tls.config.send_tls13_tickets, 0);
    assert!(!tls.config.session_storage.can_cache());
    assert_eq!(tls.config.max_early_data_size, 0);
    assert_eq!(tls.config.alpn_protocols, [b"http/1.1"]);
}

#[test]
fn one_key_for_both_authorities_is_refused() {
    let setting = Setting::new();
    setting.write("operators.pem", &setting.masters.pem);
    let error = ServerTls::load(&setting.files(), SystemClock.now()).unwrap_err();
    assert!(
        matches!(error, TlsError::Verifier(VerifierError::SameKey)),
        "{error}"
    );
}

#[test]
fn a_masters_authority_that_the_operators_one_issued_is_refused() {
    let operators = Authority::root("operators");
    let below = operators.subordinate("masters");
    let setting = Setting::around(below, operators);
    // Wherever in the file it stands.
    let other = Authority::new("other");
    for text in [
        setting.masters.pem.clone(),
        [other.pem, setting.masters.pem.clone()].concat(),
    ] {
        setting.write("masters.pem", &text);
        let error = ServerTls::load(&setting.files(), SystemClock.now()).unwrap_err();
        assert!(
            matches!(error, TlsError::Verifier(VerifierError::Subordinate)),
            "{error}"
        );
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let setting = Setting::new();
    for mode in [0o604, 0o660, 0o666] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(setting.files().key, permissions).unwrap();
        match ServerTls::load(&setting.files(), SystemClock.now()).unwrap_err() {
            TlsError::Pem(PemError::Exposed { mode: found, .. }) => assert_eq!(found, mode),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn an_authority_or_a_revocation_list_that_others_may_write_is_refused_at_start_and_later() {
    use std::os::unix::fs::PermissionsExt;
    let setting = Setting::new();
    setting.write("masters.crl", &setting.masters.revoke(&[]));
    setting.write("operators.crl", &setting.operators.revoke(&[]));
    let files = config::Tls {
        masters_crl: Some(setting.path().join("masters.crl")),
        operators_crl: Some(setting.path().join("operators.crl")),
        ..setting.files()
    };
    let now = SystemClock.now();
    let load = || ServerTls::load(&files, now);
    let live = Live::new(files.clone(), load().unwrap());
    for name in [
        "masters.pem",
        "operators.pem",
        "masters.crl",
        "operators.crl",
    ] {
        let path = setting.path().join(name);
        let allow = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        allow(0o622).unwrap();
        for error in [
            load().unwrap_err(),
            live.reload(now, Look::IfChanged).unwrap_err(),
        ] {
            assert!(
                matches!(&error, TlsError::Pem(PemError::Anchor(_))),
                "{name}: {error}"
            );
        }
        assert!(live.problem().unwrap().contains(name));
        allow(0o600).unwrap();
        assert!(live.reload(now, Look::IfChanged).unwrap());
    }
}

#[test]
fn a_certificate_that_does_not_fit_its_key_or_ended_is_refused() {
    let setting = Setting::new();
    let other = setting.operators.issue(&Leaf::server());
    setting.write("server.pem", &other.pem);
    let error = ServerTls::load(&setting.files(), SystemClock.now()).unwrap_err();
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");

    setting.write("server.key", &other.key_pem);
    let late = Timestamp::from_unix(SystemClock.now().unix() + 3 * 86_400).unwrap();
    let error = ServerTls::load(&setting.files(), late).unwrap_err();
    assert!(matches!(error, TlsError::Ended { .. }), "{error}");
    assert!(ServerTls::load(&setting.files(), SystemClock.now()).is_ok());
}

/// How a handshake ended for both ends.
#[derive(Debug)]
struct Refused {
    server: Error,
    client: Error,
}

async fn handshake(setting: &Setting, pair: Option<&Pair>) -> Result<Peer, Refused> {
    let tls = ServerTls::load(&setting.files(), SystemClock.now()).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let client = async {
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(setting.client(pair));
        let mut stream = connector.connect(name, near).await?;
        // In TLS 1.3 a client is done before the server has looked at its certificate.
        stream.read(&mut [0]).await.map(|_| ())
    };
    let server = async {
        let stream = TlsAcceptor::from(tls.config).accept(far).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        std::io::Result::Ok(Peer::from_certificate(&certificates[0]).unwrap())
    };
    let (client, server) = tokio::join!(client, server);
    server.map_err(|server| Refused {
        server: cause(&server),
        client: cause(&client.unwrap_err()),
    })
}

fn cause(error: &std::io::Error) -> Error {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    inner.unwrap_or_else(|| panic!("{error}")).clone()
}
