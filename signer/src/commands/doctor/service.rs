//! The signing service: its configuration, its certificates, its tokens, and what it says of itself.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde_json::Value;

use super::finding::Finding;
use super::hsm;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{Config, ConfigArgument};
use crate::pki::check::handshake::{self, Call};
use crate::{server, tls};

/// Everything about the service.
pub(super) fn look(argument: &ConfigArgument, login: bool) -> Finding {
    tls::install_provider();
    let config = match argument.load() {
        Ok(config) => config,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            let fix = "correct the file; `mastersign serve --check` reads it again";
            return Finding::group(
                "service",
                vec![Finding::failure("configuration", detail, fix)],
            );
        }
    };
    let mut parts = vec![
        configuration(&config),
        certificates(&config),
        state(&config),
    ];
    parts.push(running(&config));
    if config.hsms.is_empty() {
        parts.push(Finding::warning(
            "HSM",
            "no [[hsm]] section: what is stored is served, nothing is signed",
            "add one; `mastersign hsm init` prints it",
        ));
    }
    parts.extend(config.hsms.iter().map(|hsm| hsm::look(&config, hsm, login)));
    Finding::group("service", parts)
}

fn configuration(config: &Config) -> Finding {
    let path = config.path.display().to_string();
    if config.store.id.is_some() {
        return Finding::good("configuration", path);
    }
    Finding::warning(
        "configuration",
        format!("{path} has no store.id, so the database alone says which store this is"),
        "put the id that the service logs at its start under [store]",
    )
}

fn certificates(config: &Config) -> Finding {
    let checked = match server::check(config, &SystemClock) {
        Ok(checked) => checked,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            let fix = "`mastersign serve --check` says the same until it is mended";
            return Finding::failure("certificates and files", detail, fix);
        }
    };
    ending(
        "certificates and files",
        checked.tls.not_after,
        SystemClock.now(),
        "mastersign pki issue server … --force, then restart the service",
    )
}

/// A certificate by its end.
pub(super) fn ending(what: &str, end: Timestamp, now: Timestamp, fix: &str) -> Finding {
    let left = end.unix().saturating_sub(now.unix());
    let days = left.div_euclid(DAY);
    match left {
        ..0 => Finding::failure(what, format!("the certificate ended at {end}"), fix),
        left if left < SOON => Finding::warning(
            what,
            format!("the certificate ends at {end}, in {days} days"),
            fix,
        ),
        _ => Finding::good(what, format!("until {end}, {days} days")),
    }
}

fn state(config: &Config) -> Finding {
    let path = &config.state_dir;
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::warning(
                "state",
                format!("{}: {error}", path.display()),
                "the service makes the directory at its first start; run doctor as root or as its \
                 user",
            );
        }
    };
    if metadata.mode() & 0o077 != 0 {
        return Finding::failure(
            "state",
            format!(
                "{} is open to others (mode {:04o})",
                path.display(),
                metadata.mode() & 0o7777
            ),
            format!("chmod 0700 {}", path.display()),
        );
    }
    let free = nix::sys::statvfs::statvfs(path)
        .map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()));
    match free {
        Ok(free) if free < LEAST_FREE => Finding::warning(
            "state",
            format!("{} bytes are free below {}", free, path.display()),
            "make room: nothing is signed that cannot be stored",
        ),
        Ok(_) => Finding::good("state", path.display().to_string()),
        Err(error) => Finding::not_judged(
            "state",
            format!(
                "how much is free below {} is not known: {error}",
                path.display()
            ),
        ),
    }
}

/// Whether it runs, what it shows at its door, and what it says of itself.
fn running(config: &Config) -> Finding {
    let api = reachable(config.listen.api);
    if TcpStream::connect_timeout(&api, PATIENCE).is_err() {
        return Finding::warning(
            "running",
            format!("nothing listens at {api}"),
            "systemctl start mastersign; journalctl -u mastersign says why it does not run",
        );
    }
    let mut parts = vec![shown(config, api)];
    let address = reachable(config.listen.ops);
    match ask(address) {
        Ok(answer) => parts.extend([readiness(&answer), confinement(&answer)]),
        Err(error) => parts.push(Finding::warning(
            "readiness",
            format!("http://{address}/readyz does not answer: {error}"),
            "look at listen.ops",
        )),
    }
    Finding::group("running", parts)
}

/// The handshake, as a client without a certificate makes it.
fn shown(config: &Config, api: SocketAddr) -> Finding {
    let address = api.to_string();
    // Without the service's authority here, its own certificate has to vouch for itself.
    let Ok(authorities) = std::fs::read(&config.tls.certificate) else {
        return Finding::not_judged("handshake", "not tried: the certificate cannot be read");
    };
    let call = Call {
        address: &address,
        authorities: &authorities,
        client: None,
    };
    let report = match handshake::check(call, SystemClock.now()) {
        Ok(report) => report,
        Err(error) => return Finding::not_judged("handshake", format!("not tried: {error}")),
    };
    let configured = crate::pki::check::Report::of_pem(&authorities, None, SystemClock.now());
    let ours = configured.certificates.first().map(|it| &it.sha256);
    match report.certificates.first() {
        None => Finding::failure(
            "handshake",
            report.problems.join("; "),
            "journalctl -u mastersign",
        ),
        Some(leaf) if Some(&leaf.sha256) != ours => Finding::warning(
            "handshake",
            format!(
                "the service shows another certificate (until {}) than the configured one",
                leaf.not_after
            ),
            "restart the service, or find out who listens there",
        ),
        Some(leaf) => ending(
            "handshake",
            leaf.not_after,
            SystemClock.now(),
            "mastersign pki issue server … --force, then restart the service",
        ),
    }
}

/// What the kernel holds the running service to.
fn confinement(answer: &Value) -> Finding {
    let held = |name: &str| {
        let held = answer.pointer(&format!("/confinement/{name}"));
        held.and_then(Value::as_str).unwrap_or("absent").to_owned()
    };
    let (landlock, seccomp) = (held("landlock"), held("seccomp"));
    let detail = format!("Landlock {landlock}, seccomp {seccomp}");
    if landlock == "whole" && seccomp == "whole" {
        return Finding::good("confinement", detail);
    }
    Finding::warning(
        "confinement",
        detail,
        "a Linux from 6.7 on with both holds the service to its own files, ports and system calls; \
         a container may keep them away. Until then rely on deploy/mastersign.service",
    )
}

fn readiness(answer: &Value) -> Finding {
    let list = |name: &str| {
        answer
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let word = |value: &Value, name: &str| {
        let word = value.get(name).and_then(Value::as_str);
        word.unwrap_or_default().to_owned()
    };
    let reasons: Vec<&str> = list("reasons").filter_map(Value::as_str).collect();
    let details: Vec<String> = list("hsms")
        .filter(|hsm| word(hsm, "state") != "ready")
        .map(|hsm| advice(&word(hsm, "state"), &word(hsm, "detail")))
        .collect();
    let said = reasons.join("; ");
    let fix = if details.is_empty() {
        "docs/operations.md, \"When something is wrong\"".to_owned()
    } else {
        details.join("\n")
    };
    match word(answer, "status").as_str() {
        "ready" => Finding::good("readiness", "ready"),
        "degraded" => Finding::warning("readiness", said, fix),
        _ => Finding::failure("readiness", said, fix),
    }
}

/// What to do about an HSM in this state.
fn advice(state: &str, detail: &str) -> String {
    let advice = match state {
        "backoff" => {
            "it is tried again by itself; mastersign hsm test shows the same error at once"
        }
        "failed" => "mastersign hsm list and hsm test; mend the section or the token, then restart",
        "locked" => "mastersign hsm unlock, or give the section a `pin`",
        "pin-count-low" => "find out who presented a wrong PIN; then mastersign hsm unlock --force",
        "pin-latched" => {
            "correct the PIN at its source, or mastersign hsm unlock; if it was right after all, \
             mastersign hsm unlatch"
        }
        "quarantined" => "do not restart it away: mastersign hsm test, then the vendor",
        _ => "wait, and look again",
    };
    format!("{advice} ({detail})")
}

/// One GET without a library: the listener speaks plain HTTP to this machine.
fn ask(address: SocketAddr) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| anyhow::anyhow!("this is no HTTP"))?;
    Ok(serde_json::from_str(body)?)
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

const DAY: i64 = 86_400;
/// Two weeks: long enough for whoever has the offline key to come back from a holiday.
const SOON: i64 = 14 * DAY;
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: u64 = 256 * 1024;
/// A database with its log grows by a few megabytes at most between two looks.
const LEAST_FREE: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_its_end() {
        let now: Timestamp = "2026-11-22T02:25:06Z".parse().unwrap();
        for (end, level) in [
            ("2026-11-22T02:25:05Z", Level::Failure),
            ("2026-11-30T00:00:00Z", Level::Warning),
            ("2027-11-30T00:00:00Z", Level::Good),
        ] {
            let found = ending("x", end.parse().unwrap(), now, "renew");
            assert_eq!(found.level(), level, "{end}");
        }
    }

    #[test]
    fn what_the_kernel_does_not_hold_is_a_warning() {
        let whole = serde_json::json!({"confinement": {"landlock": "whole", "seccomp": "whole"}});
        assert_eq!(confinement(&whole).level(), Level::Good);
        for answer in [
            serde_json::json!({"confinement": {"landlock": "partial", "seccomp": "whole"}}),
            serde_json::json!({"confinement": null}),
        ] {
            assert_eq!(confinement(&answer).level(), Level::Warning, "{answer}");
        }
    }

    #[test]
    fn a_handshake_that_was_not_tried_is_not_judged() {
        let setting = tls::testing::Setting::new();
        setting.write(
            "mastersign.toml",
            "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
             masters_ca = \"masters.pem\"\noperators_ca = \"operators.pem\"\n",
        );
        let config = Config::load(&setting.path().join("mastersign.toml")).unwrap();
        setting.write("server.pem", "no certificate");
        let nobody = "127.0.0.1:1".parse().unwrap();
        let broken = shown(&config, nobody);
        std::fs::remove_file(&config.tls.certificate).unwrap();
        for found in [broken, shown(&config, nobody)] {
            assert_eq!(found.level(), Level::NotJudged, "{}", found.text());
            assert!(found.text().contains("not tried: "), "{}", found.text());
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_this_machine() {
        let all: SocketAddr = "0.0.0.0:8443".parse().unwrap();
        assert_eq!(reachable(all).to_string(), "127.0.0.1:8443");
        let all: SocketAddr = "[::]:8443".parse().unwrap();
        assert_eq!(reachable(all).to_string(), "[::1]:8443");
    }
}
