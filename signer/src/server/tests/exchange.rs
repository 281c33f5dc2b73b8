//! Certificates and authorities that are exchanged under a running service.

use rustls::pki_types::CertificateDer;

use super::*;
use crate::tls::testing::{Authority, Leaf};

#[tokio::test]
async fn a_renewed_certificate_is_shown_in_the_next_handshake_and_open_connections_go_on() {
    let running = Running::start().await;
    let one = running.setting.masters.client("mastersign:master:one");
    let mut open = running.connect(&one).await;
    assert_eq!(ask(&mut open).await.0, 200);
    let before = shown(&open);

    let renewed = running.setting.operators.issue(&Leaf::server());
    running.setting.write("server.pem", &renewed.pem);
    running.setting.write("server.key", &renewed.key_pem);
    let deadline = Instant::now() + PATIENCE;
    let mut new = loop {
        let stream = running.connect(&one).await;
        if shown(&stream) != before {
            break stream;
        }
        assert!(Instant::now() < deadline, "the certificate is not read");
    };
    assert_eq!(shown(&new), renewed.der);
    assert_eq!(ask(&mut new).await.0, 200);
    assert_eq!(ask(&mut open).await.0, 200);
    assert_eq!(shown(&open), before, "it is the connection from before");
    drop((open, new));
    running.end().await;
}

#[tokio::test]
async fn an_exchanged_authority_lets_its_clients_in_and_the_old_ones_out() {
    let running = Running::start().await;
    let setting = &running.setting;
    let next = Authority::new("the next masters");
    let old = setting.masters.client("mastersign:master:old");
    let new = next.client("mastersign:master:new");
    let ada = setting.operators.client("mastersign:admin:ada");
    let mut olds = running.connect(&old).await;
    let mut adas = running.connect(&ada).await;
    assert_eq!(ask(&mut olds).await.0, 200);
    assert!(!running.lets_in(&new).await);

    // Both count while the fleet moves.
    setting.write("masters.pem", &(setting.masters.pem.clone() + &next.pem));
    let deadline = Instant::now() + PATIENCE;
    while !running.lets_in(&new).await {
        assert!(Instant::now() < deadline, "the authority is not read");
    }
    let mut news = running.connect(&new).await;
    assert_eq!(ask(&mut olds).await.0, 200);
    assert_eq!(ask(&mut news).await.0, 200);

    setting.write("masters.pem", &next.pem);
    let deadline = Instant::now() + PATIENCE;
    while running.lets_in(&old).await {
        assert!(Instant::now() < deadline, "the authority is not read");
    }
    let (status, answer) = ask(&mut olds).await;
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("certificate-refused"), "{answer}");
    assert_eq!(ask(&mut news).await.0, 200);
    assert_eq!(ask(&mut adas).await.0, 200);
    drop((olds, news, adas));
    running.end().await;
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_is_said() {
    let running = Running::start().await;
    let one = running.setting.masters.client("mastersign:master:one");
    let mut open = running.connect(&one).await;
    let before = shown(&open);
    // The certificate is there, its key is not yet.
    let renewed = running.setting.operators.issue(&Leaf::server());
    running.setting.write("server.pem", &renewed.pem);
    let deadline = Instant::now() + PATIENCE;
    while !running.ops("/readyz").await.1.contains("not taken over") {
        assert!(Instant::now() < deadline, "the certificate is not read");
    }
    assert_eq!(shown(&running.connect(&one).await), before);
    assert_eq!(ask(&mut open).await.0, 200);
    drop(open);
    running.end().await;
}

/// The certificate that the service showed on this connection.
fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

impl Running {
    /// Whether a new connection with this certificate gets an answer. In TLS 1.3 the client learns
    /// of its refusal only when it reads.
    async fn lets_in(&self, pair: &Pair) -> bool {
        let Ok(mut stream) = self.try_connect(pair).await else {
            return false;
        };
        let request = b"GET /v1/signing-keys HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.is_ok() && stream.read_u8().await.is_ok()
    }
}

/// Much more than the two seconds between two looks, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
