//! The state of a master's signature in Prometheus's text form, for masters without an open port.

use std::path::Path;

use anyhow::{Context, ensure};

use super::report::{Report, Word};
use crate::clock::Timestamp;
use crate::fetch::directory::{FileName, PkiDir};
use crate::fetch::privilege;

/// The whole file.
pub(super) fn text(report: &Report, now: Timestamp, success: Option<Timestamp>) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: String| {
        let name = format!("mastersign_watch_{name}");
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} gauge\n{value}"
        ));
    };
    let one = |name: &str, value: &str| format!("mastersign_watch_{name} {value}\n");
    let yes = |is: bool| if is { "1" } else { "0" };
    gauge(
        "last_cycle_timestamp_seconds",
        "When the service was last asked.",
        one("last_cycle_timestamp_seconds", &now.unix().to_string()),
    );
    if let Some(success) = success {
        gauge(
            "last_success_timestamp_seconds",
            "When the service last confirmed the signature.",
            one(
                "last_success_timestamp_seconds",
                &success.unix().to_string(),
            ),
        );
    }
    let results: String = Word::ALL
        .into_iter()
        .map(|word| {
            let is = yes(word == report.result);
            format!(
                "mastersign_watch_result{{result=\"{}\"}} {is}\n",
                word.word()
            )
        })
        .collect();
    gauge("result", "How the last cycle ended.", results);
    gauge(
        "signature_valid",
        "Whether the signature file verifies for the key that is there.",
        one("signature_valid", yes(report.sha256.is_some())),
    );
    gauge(
        "salt_serves",
        "Whether salt-master is configured to serve the file.",
        one("salt_serves", yes(report.serves)),
    );
    gauge(
        "leftover_signing_keys",
        "Private signing keys that lie in pki_dir.",
        one("leftover_signing_keys", &report.leftovers.to_string()),
    );
    text
}

/// Puts it in its place at once: the collector reads at any moment.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    ensure!(
        path.extension()
            .is_some_and(|extension| extension == "prom"),
        "the collector reads *.prom only"
    );
    let path = std::path::absolute(path)?;
    let directory = path.parent().context("it has no directory")?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("its name is no text")?;
    let directory: PkiDir = privilege::beside(directory)?;
    Ok(directory.replace(&FileName::new(name)?, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_a_number() {
        let mut report = Report::failed("no service".to_owned());
        report.sha256 = Some("00".repeat(32));
        report.leftovers = 2;
        let now = "2026-11-22T02:25:06Z".parse().unwrap();
        let text = text(&report, now, None);
        assert!(
            text.contains("\nmastersign_watch_result{result=\"error\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("\nmastersign_watch_result{result=\"written\"} 0\n"));
        assert!(text.contains("\nmastersign_watch_signature_valid 1\n"));
        assert!(text.contains("\nmastersign_watch_leftover_signing_keys 2\n"));
        assert!(!text.contains("last_success"), "there was none");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
