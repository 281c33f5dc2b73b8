//! A network of one test's own, with a firewall that loses packets as real ones do.
//!
//! One network namespace whose only interface is the loopback: three masters on `127.0.0.1` to `.3`
//! differ in the address as they do in production, and what the firewall drops is dropped for
//! nobody else on the machine. It needs root. It lives as long as the process that holds it, so
//! nothing is left behind however the test ends.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Process, run};

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    holder: Process,
}

/// What the firewall does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The master's host throws the minions' packets away, as the tutorial has it; what it sends
    /// still arrives.
    Deny,
    /// Nothing arrives in either direction: a cable is unplugged.
    Unplug,
    /// The host answers, but the port is closed.
    Refuse,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Fails for anybody but root, and without `unshare`, `ip` or `nft`.
    pub fn create() -> Result<Self> {
        let script = format!("{SETUP} && echo ready && exec sleep infinity");
        let mut command = Command::new("unshare");
        let holder = Process::start(command.args(["--net", "sh", "-c", &script]))?;
        holder
            .log()
            .wait_for("ready")
            .context("no network namespace; this needs root, iproute2 and nftables")?;
        Ok(Self { holder })
    }

    /// The same command, to be run in this network.
    #[must_use]
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Makes the firewall treat a master like that, on both of Salt's ports, until [`lift`].
    ///
    /// [`lift`]: Namespace::lift
    ///
    /// # Errors
    ///
    /// Fails if `nft` does.
    pub fn inject(&self, fault: Fault, master: Ipv4Addr) -> Result<()> {
        let to = format!("ip daddr {master} tcp dport {{ 4505, 4506 }} counter");
        let from = format!("ip saddr {master} tcp sport {{ 4505, 4506 }} counter");
        let rules = match fault {
            Fault::Deny => vec![format!("{to} drop")],
            Fault::Unplug => vec![format!("{to} drop"), format!("{from} drop")],
            Fault::Refuse => vec![format!("{to} reject with tcp reset")],
        };
        for rule in rules {
            self.nft(&["add", "rule", "inet", "faults", "input", &rule])?;
        }
        Ok(())
    }

    /// Lets everything pass again.
    ///
    /// # Errors
    ///
    /// Fails if `nft` does.
    pub fn lift(&self) -> Result<()> {
        self.nft(&["flush", "chain", "inet", "faults", "input"])?;
        Ok(())
    }

    /// How many packets have met the rules since they were made.
    ///
    /// # Errors
    ///
    /// Fails if `nft` does.
    pub fn hits(&self) -> Result<u64> {
        let list = self.nft(&["--json", "list", "chain", "inet", "faults", "input"])?;
        let list: Value = serde_json::from_str(&list)?;
        let rules = list.pointer("/nftables").and_then(Value::as_array);
        let parts = rules
            .context("nft lists nothing")?
            .iter()
            .filter_map(|rule| rule.pointer("/rule/expr")?.as_array())
            .flatten();
        let packets = parts.filter_map(|part| part.pointer("/counter/packets")?.as_u64());
        Ok(packets.sum())
    }

    /// How many connections to this master are established, as the kernel of its peers sees it.
    ///
    /// # Errors
    ///
    /// Fails without `ss`.
    pub fn connections_to(&self, master: Ipv4Addr) -> Result<usize> {
        let mut command = Command::new("ss");
        command.args(["-Hnt", "state", "established", "dst", &master.to_string()]);
        Ok(run(&self.inside(&command))?.lines().count())
    }

    /// Makes this master's kernel forget its connections, while nothing passes: what its peers see
    /// of a host that lost its power. They believe in their connections until they next send.
    ///
    /// # Errors
    ///
    /// Fails if the kernel can't (`CONFIG_INET_DIAG_DESTROY`).
    pub fn forget_connections_of(&self, master: Ipv4Addr) -> Result<()> {
        let connections = |options: &str| {
            let mut command = Command::new("ss");
            // A minion in the same network may have the same address, but none of Salt's ports.
            command
                .args([options, "state", "established", "src", &master.to_string()])
                .arg("( sport = :4505 or sport = :4506 )");
            run(&self.inside(&command))
        };
        let forgotten = connections("-HntK")?;
        ensure!(
            !forgotten.is_empty(),
            "{master} had no connection to forget"
        );
        let left = connections("-Hnt")?;
        ensure!(left.is_empty(), "the kernel keeps {left}");
        Ok(())
    }

    fn nft(&self, arguments: &[&str]) -> Result<String> {
        ensure!(
            !arguments.is_empty(),
            "nft without arguments reads commands"
        );
        let mut command = Command::new("nft");
        command.args(arguments);
        run(&self.inside(&command))
    }
}

/// The command in this network, or as it is where there is none.
#[must_use]
pub fn inside(namespace: Option<&Namespace>, command: Command) -> Command {
    match namespace {
        Some(namespace) => namespace.inside(&command),
        None => command,
    }
}

const SETUP: &str = "ip link set lo up \
    && nft add table inet faults \
    && nft 'add chain inet faults input { type filter hook input priority 0; }'";
