//! A start with as little as possible, and a check that changes nothing.

mod exchange;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::testing::{Pair, Setting};

#[tokio::test]
async fn a_service_without_an_hsm_serves_and_says_degraded() {
    let running = Running::start().await;
    let (status, body) = running.ops("/readyz").await;
    let report: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &report["status"]), (200, &Value::from("degraded")));
    assert_eq!(report["reasons"][0], "no HSM is configured");
    assert_eq!(running.ops("/livez").await, (200, "alive\n".to_owned()));

    let directory = running.config.state_dir.clone();
    assert!(directory.join("mastersign.db").exists());
    let before = running.store;
    let setting = running.end().await;
    let again = Running::restart(setting).await;
    assert_eq!(again.store, before, "the state outlives the process");
    again.end().await;
}

#[tokio::test]
async fn checking_binds_nothing_and_makes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let setting = Setting::new();
    let mut config = configuration(&setting);
    config.listen.api = taken.local_addr().unwrap();
    check(&config, &SystemClock).unwrap();
    assert!(!config.state_dir.exists());

    let error = Server::start(&config, options()).await.unwrap_err();
    assert!(matches!(error, ServerError::Bind { .. }), "{error}");
    assert!(
        !config.state_dir.exists(),
        "a busy port is found before anything is made"
    );
}

#[tokio::test]
async fn a_module_that_is_not_there_is_found_by_the_check() {
    let setting = Setting::new();
    setting.write(
        "conf.d.toml",
        "name = \"a\"\nmodule = \"/nowhere.so\"\ntoken_label = \"t\"\nkey_id = \"01\"\n",
    );
    let mut config = configuration(&setting);
    let text = std::fs::read_to_string(setting.path().join("conf.d.toml")).unwrap();
    let raw: hsm_config::RawHsm = toml::from_str(&text).unwrap();
    config.hsms = vec![raw.try_into().unwrap()];
    let error = check(&config, &SystemClock).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere.so");
}

#[tokio::test]
async fn a_module_that_others_may_write_is_refused_before_anything_is_made() {
    let setting = Setting::new();
    let module = setting.path().join("m.so");
    setting.write("m.so", "");
    std::fs::set_permissions(&module, Permissions::from_mode(0o646)).unwrap();
    let mut config = configuration(&setting);
    let text = format!("name = \"a\"\nmodule = {module:?}\ntoken_label = \"t\"\nkey_id = \"01\"\n");
    let raw: hsm_config::RawHsm = toml::from_str(&text).unwrap();
    config.hsms = vec![raw.try_into().unwrap()];
    let error = Server::start(&config, options()).await.unwrap_err();
    assert!(matches!(error, ServerError::Module(_)), "{error}");
    assert!(error.to_string().contains("0646"), "{error}");
    assert!(!config.state_dir.exists());

    std::fs::set_permissions(&module, Permissions::from_mode(0o644)).unwrap();
    check(&config, &SystemClock).unwrap();

    // The hash of the empty file, and then another file.
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!("{text}module_sha256 = \"{hash}\"\n");
    let raw: hsm_config::RawHsm = toml::from_str(&text).unwrap();
    config.hsms = vec![raw.try_into().unwrap()];
    check(&config, &SystemClock).unwrap();
    setting.write("m.so", "another");
    let error = check(&config, &SystemClock).unwrap_err();
    assert!(error.to_string().contains(hash), "{error}");
}

#[tokio::test]
async fn a_client_that_is_revoked_is_refused_on_its_open_connection_and_the_others_are_not() {
    let setting = Setting::new();
    let (one, two) = (
        setting.masters.client("mastersign:master:one"),
        setting.masters.client("mastersign:master:two"),
    );
    setting.write("masters.crl", &setting.masters.revoke(&[]));
    let running = Running::restart(setting).await;
    let mut first = running.connect(&one).await;
    let mut second = running.connect(&two).await;
    assert_eq!(ask(&mut first).await.0, 200);
    assert_eq!(ask(&mut second).await.0, 200);

    let list = running.setting.masters.revoke(&[&one]);
    running.setting.write("masters.crl", &list);
    let deadline = Instant::now() + Duration::from_secs(30);
    let refusal = loop {
        let (status, answer) = ask(&mut first).await;
        // It asks without a pause, which is more than its share.
        if ![200, 429].contains(&status) {
            break (status, answer);
        }
        assert!(Instant::now() < deadline, "the list is not read");
    };
    assert_eq!(refusal.0, 403);
    assert!(
        refusal
            .1
            .contains("urn:mastersign:problem:certificate-refused")
    );
    assert!(refusal.1.to_lowercase().contains("connection: close"));
    assert_eq!(
        ask(&mut second).await.0,
        200,
        "the connection was not dropped"
    );
    let again = running.try_connect(&one).await;
    let refused = match again {
        Ok(mut stream) => stream.read_u8().await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a revoked client gets no new connection");
    drop((first, second));
    running.end().await;
}

/// One request on a connection that stays open: the status and the whole answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let request = b"GET /v1/signing-keys HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    loop {
        stream.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if length.is_some_and(|length: usize| body.len() >= length) {
            return (head.split(' ').nth(1).unwrap().parse().unwrap(), text);
        }
    }
}

/// A service without an HSM.
struct Running {
    setting: Setting,
    config: Config,
    addresses: Addresses,
    store: uuid::Uuid,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::restart(Setting::new()).await
    }

    async fn restart(setting: Setting) -> Self {
        let config = configuration(&setting);
        let server = Server::start(&config, options()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            addresses: server.addresses(),
            store: server.store().uuid(),
            task: tokio::spawn(server.run(async move { stopped.await.unwrap() })),
            setting,
            config,
            stop,
        }
    }

    async fn end(self) -> Setting {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        assert!(TcpStream::connect(self.addresses.api).await.is_err());
        assert!(TcpStream::connect(self.addresses.ops).await.is_err());
        self.setting
    }

    async fn connect(&self, pair: &Pair) -> TlsStream<TcpStream> {
        self.try_connect(pair).await.unwrap()
    }

    async fn try_connect(&self, pair: &Pair) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.setting.client(Some(pair)));
        let stream = TcpStream::connect(self.addresses.api).await?;
        connector
            .connect("localhost".try_into().unwrap(), stream)
            .await
    }

    async fn ops(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.addresses.ops).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

fn configuration(setting: &Setting) -> Config {
    setting.write(
        "mastersign.toml",
        "state_dir = \"state\"\n[listen]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
         [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
         masters_ca = \"masters.pem\"\noperators_ca = \"operators.pem\"\n",
    );
    if setting.path().join("masters.crl").exists() {
        let text = "[tls]\nmasters_crl = \"masters.crl\"\n";
        std::fs::create_dir_all(setting.path().join("conf.d")).unwrap();
        setting.write("conf.d/crl.toml", text);
    }
    Config::load(&setting.path().join("mastersign.toml")).unwrap()
}

fn options() -> Options {
    Options {
        executable: "/nowhere".into(),
        metrics: None,
        force_login: false,
        confinement: None,
    }
}
