//! A network of one test's own, with a firewall that loses packets as real ones do.
//!
//! One network namespace whose only interface is the loopback: three masters on `127.0.0.1` to `.3`
//! differ in the address as they do in production, and what the firewall drops is dropped for
//! nobody else on the machine. It needs root. It lives as long as the process that holds it, so
//! nothing is left behind however the test ends.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
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

    /// The same with this file in the place of `/etc/hosts`, for this command alone.
    #[must_use]
    pub fn inside_with_hosts(&self, hosts: &Path, command: &Command) -> Command {
        let mut private = Command::new("unshare");
        // Mounts of a namespace of its own go nowhere else (unshare(1), --propagation).
        private
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
            .arg(hosts)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => private.env(name, value),
                None => private.env_remove(name),
            };
        }
        self.inside(&private)
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
        self.hits_where(|_| true)
    }

    /// How many of them were for this master, or from it.
    ///
    /// # Errors
    ///
    /// Fails if `nft` does.
    pub fn hits_of(&self, master: Ipv4Addr) -> Result<u64> {
        let master = Value::from(master.to_string());
        self.hits_where(|rule| {
            let mut parts = rule.iter();
            parts.any(|part| part.pointer("/match/right") == Some(&master))
        })
    }

    fn hits_where(&self, counts: impl Fn(&[Value]) -> bool) -> Result<u64> {
        let list = self.nft(&["--json", "list", "chain", "inet", "faults", "input"])?;
        let list: Value = serde_json::from_str(&list)?;
        let rules = list.pointer("/nftables").and_then(Value::as_array);
        let parts = rules
            .context("nft lists nothing")?
            .iter()
            .filter_map(|rule| rule.pointer("/rule/expr")?.as_array())
            .filter(|rule| counts(rule.as_slice()))
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

    /// How many connections to Salt's ports come from this address and are established.
    ///
    /// # Errors
    ///
    /// Fails without `ss`.
    pub fn connections_from(&self, minion: Ipv6Addr) -> Result<usize> {
        let mut command = Command::new("ss");
        command.args(["-Hnt", "state", "established"]).arg(format!(
            "src [{minion}] and ( dport = :4505 or dport = :4506 )"
        ));
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

/// An address of IPv6 that is the network's own and no master's.
pub const SPARE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

const SETUP: &str = "ip link set lo up \
    && ip address add fd00::2/128 dev lo nodad \
    && nft add table inet faults \
    && nft 'add chain inet faults input { type filter hook input priority 0; }'";
