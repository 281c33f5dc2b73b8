//! A start with as little as possible, and a check that changes nothing.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::tls::testing::Setting;

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
    Config::load(&setting.path().join("mastersign.toml")).unwrap()
}

fn options() -> Options {
    Options {
        executable: "/nowhere".into(),
        metrics: None,
        force_login: false,
    }
}
