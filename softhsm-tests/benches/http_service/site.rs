//! The service under test: on a token of its own, with its log in a file, as a process whose CPU
//! time can be read.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use openssl::pkey::{PKey, Private};
use rustls::ClientConfig;
use signer::authorize::{Identity, MasterId, Proof, Purpose, Statement, Verb};
use signer::clock::{Clock, SystemClock};
use softhsm_tests::binaries::mastersign;
use softhsm_tests::people::Operator;
use softhsm_tests::pki::Papers;
use softhsm_tests::pool::Rig;
use std::sync::Arc;

use crate::connection::{Connection, put, tls};

/// A running service.
pub(crate) struct Site {
    rig: Rig,
    child: Child,
    pub(crate) api: SocketAddr,
    ops: SocketAddr,
    /// From the start of the process until it said that it is ready.
    pub(crate) ready: Duration,
    admin: (Operator, Connection),
}

impl Site {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(bits: u32, sessions: usize) -> Result<Self> {
        let rig = Rig::with_bits(bits)?;
        rig.without_counting()?;
        rig.edit("sessions = 2", &format!("sessions = {sessions}"))?;
        Self::around(rig).await
    }

    pub(crate) async fn around(rig: Rig) -> Result<Self> {
        // Connections wait for their part longer than an idle client's may.
        rig.edit("[limits]\n", "[limits]\nheader_timeout = \"2m\"\n")?;
        let path = rig.site().directory().join("log");
        let mut command = mastersign()?;
        command
            .arg("serve")
            .arg("--config")
            .arg(rig.site().config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&path)?);
        let start = Instant::now();
        let child = command.spawn()?;
        let mut guard = Guard(Some(child));
        let (api, ops) = loop {
            let log = fs::read_to_string(&path)?;
            if let Some(line) = log.lines().find(|line| line.contains("serving")) {
                break (address(line, "api=")?, address(line, "ops=")?);
            }
            guard.running()?;
            tokio::time::sleep(POLL).await;
        };
        while !is_ready(ops)? {
            guard.running()?;
            tokio::time::sleep(POLL).await;
        }
        let ready = start.elapsed();
        let papers = rig.site().pki().admin("bench")?;
        let admin = (
            Operator::new(&papers)?,
            Connection::open(api, &tls(&papers)?).await?,
        );
        Ok(Self {
            rig,
            child: guard.0.take().context("no process")?,
            api,
            ops,
            ready,
            admin,
        })
    }

    pub(crate) const fn rig(&self) -> &Rig {
        &self.rig
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its worker process.
    pub(crate) fn worker(&self) -> Result<u32> {
        for task in fs::read_dir(format!("/proc/{}/task", self.process()))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            if let Some(child) = children.split_whitespace().next() {
                return Ok(child.parse()?);
            }
        }
        bail!("the service has no worker")
    }

    pub(crate) fn papers(&self, id: &str) -> Result<Papers> {
        self.rig.site().pki().master(id)
    }

    /// A master whose key an operator has accepted, with its connection and its proof.
    pub(crate) async fn master(&mut self, number: usize, key: &PKey<Private>) -> Result<Accepted> {
        let id = format!("m{number}.example");
        let papers = self.papers(&id)?;
        let client = tls(&papers)?;
        let credentials = papers.read()?;
        let public = PublicKey::parse(&key.public_key_to_pem()?)?;
        let Identity::Master(master) = credentials.identity().clone() else {
            bail!("{id} is no master");
        };
        let proof = Proof {
            purpose: Purpose::Put,
            store: self.rig.store(),
            client_key: credentials.client_key(),
            key: public.hash(),
            master: master.clone(),
            time: SystemClock.now(),
        };
        let document = serde_json::json!({
            "public_key": public.canonical(),
            "time": proof.time,
            "proof": STANDARD.encode(proof.sign(key)?),
        })
        .to_string();
        let mut accepted = Accepted {
            connection: Connection::open(self.api, &client).await?,
            tls: client,
            public,
            document,
        };
        let request = accepted.put(Algorithm::Sha1);
        accepted.connection.expect(&request, 202).await?;
        self.accept(&master, &accepted.public).await?;
        Ok(accepted)
    }

    async fn accept(&mut self, master: &MasterId, key: &PublicKey) -> Result<()> {
        let (operator, connection) = &mut self.admin;
        let signed = operator.sign(&Statement {
            verb: Verb::Accept,
            store: self.rig.store(),
            master: master.clone(),
            key: Some(key.hash()),
            generation: 1,
            time: SystemClock.now(),
        })?;
        let document = serde_json::to_string(&signed)?;
        let request = put(&format!("/v1/masters/{master}/statements"), &document);
        let request = [b"POST", request.get(3..).unwrap_or_default()].concat();
        connection.expect(&request, 200).await?;
        Ok(())
    }

    /// What the process and its worker hold in memory, in MiB.
    pub(crate) fn resident(&self) -> Result<(f64, f64)> {
        Ok((resident(self.process())?, resident(self.worker()?)?))
    }

    pub(crate) fn is_ready(&self) -> Result<bool> {
        is_ready(self.ops)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process that did not become a site.
struct Guard(Option<Child>);

impl Guard {
    fn running(&mut self) -> Result<()> {
        match self.0.as_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(status) => bail!("the service ended: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A master as the service knows it.
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) public: PublicKey,
    document: String,
}

impl Accepted {
    pub(crate) fn path(&self, algorithm: Algorithm) -> String {
        format!(
            "/v1/signatures/{}?algorithm={algorithm}",
            self.public.hash()
        )
    }

    /// The request for a signature, with the proof.
    pub(crate) fn put(&self, algorithm: Algorithm) -> Vec<u8> {
        put(&self.path(algorithm), &self.document)
    }
}

fn address(line: &str, name: &str) -> Result<SocketAddr> {
    let word = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name));
    Ok(word.context("no address in the log")?.parse()?)
}

/// Asks the listener for operations; a service that has just begun may not answer yet.
fn is_ready(ops: SocketAddr) -> Result<bool> {
    use std::io::{Read, Write};

    let mut stream = std::net::TcpStream::connect(ops)?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200") && answer.contains("\"status\":\"ready\""))
}

fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse::<f64>()? / 1024.0)
}

/// Short against a start, and long enough to leave the cores to it.
const POLL: Duration = Duration::from_millis(2);
