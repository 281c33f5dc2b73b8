//! A salt-master: its configuration, its key, its signature, what lies around, and the way to the
//! service.
//!
//! What only root can read is read first. Then the process becomes the owner of `pki_dir`, as
//! `fetch` does, and looks at the rest with its eyes.

use std::path::PathBuf;

use minion::verify::Fingerprint;

use super::finding::Finding;
use super::{leftovers, salt, service, signature};
use crate::client::Blocking;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::commands::fetch::SettingsArguments;
use crate::fetch::salt_config::SaltMaster;
use crate::fetch::settings::{SALT_CONFIG, Settings};
use crate::fetch::{Fetch, Outcome, Prepared};
use crate::hsm::token;
use crate::pki::check::{Report, handshake};
use crate::terminal::Progress;
use crate::tls;

/// Everything about the master.
pub(super) fn look(settings: SettingsArguments, search: Vec<PathBuf>) -> Finding {
    tls::install_provider();
    let mut parts = vec![salt::version()];
    let partial = match settings.partial() {
        Ok(partial) => partial,
        Err(error) => {
            let fix = "correct the file; deploy/fetch.example.toml shows every key";
            parts.push(Finding::failure("settings", format!("{error:#}"), fix));
            return Finding::group("master", parts);
        }
    };
    let salt_config = partial.salt_config.clone();
    let salt_config = salt_config.unwrap_or_else(|| PathBuf::from(SALT_CONFIG));
    let mut directories = search;
    match SaltMaster::load(&salt_config) {
        Ok(loaded) => {
            parts.push(salt::configuration(&loaded));
            if directories.is_empty() {
                directories = vec![salt_config, loaded.pki_dir, loaded.key_dir];
                directories.extend(USUAL.map(PathBuf::from));
            }
        }
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            parts.push(Finding::failure(
                "Salt's configuration",
                detail,
                "--salt-config DIR",
            ));
        }
    }
    let pinned = partial.master_sign_pub.as_deref().map(token::read_pinned);
    let pinned = pinned.and_then(Result::ok);
    let searching = Progress::open_ended("looking for signing keys that were left");
    parts.push(leftovers::look(&directories, pinned.as_ref()));
    drop(searching);
    match partial.complete() {
        Ok(settings) => {
            parts.push(certificate(&settings));
            parts.push(handshake(&settings));
            parts.extend(files(settings));
        }
        Err(error) => parts.push(Finding::warning(
            "settings",
            error.to_string(),
            "deploy/fetch.example.toml shows every key",
        )),
    }
    Finding::group("master", parts)
}

fn certificate(settings: &Settings) -> Finding {
    let what = "client certificate";
    let path = settings.certificate.display();
    let fix = "mastersign pki issue master ID, where the masters' authority is";
    let pem = match std::fs::read(&settings.certificate) {
        Ok(pem) => pem,
        Err(error) => return Finding::failure(what, format!("{path}: {error}"), fix),
    };
    let report = Report::of_pem(&pem, None, SystemClock.now());
    match report.certificates.first() {
        Some(leaf) if report.is_good() => {
            service::ending(what, leaf.not_after, SystemClock.now(), fix)
        }
        _ => Finding::failure(what, format!("{path}: {}", report.problems.join("; ")), fix),
    }
}

/// The TLS handshake by itself, with the certificate that the service should see.
fn handshake(settings: &Settings) -> Finding {
    let what = "TLS handshake";
    let address = settings
        .url
        .trim_start_matches("https://")
        .trim_end_matches('/');
    let authorities = match std::fs::read(&settings.ca) {
        Ok(authorities) => authorities,
        Err(error) => {
            let detail = format!("{}: {error}", settings.ca.display());
            return Finding::failure(what, detail, "the ca.pem of the service's authority");
        }
    };
    let call = handshake::Call {
        address,
        authorities: &authorities,
        client: Some((&settings.certificate, &settings.key)),
    };
    match handshake::check(call, SystemClock.now()) {
        Ok(report) if report.is_good() => {
            let end = report.certificates.first().map(|leaf| leaf.not_after);
            let end = end.map(|end| format!(", the service's certificate until {end}"));
            Finding::good(what, format!("{address}{}", end.unwrap_or_default()))
        }
        Ok(report) => Finding::failure(
            what,
            report.problems.join("; "),
            format!("mastersign pki check {address} --ca … --certificate … --private-key …"),
        ),
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            Finding::failure(what, detail, "url, ca, certificate and key in fetch.toml")
        }
    }
}

/// What the owner of `pki_dir` sees, and what the service answers.
fn files(settings: Settings) -> Vec<Finding> {
    let fetch = match Prepared::read(settings).and_then(Prepared::enter) {
        Ok(fetch) => fetch,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            let fix = "mastersign fetch --dry-run says the same until it is mended";
            return vec![Finding::failure("the master's files", detail, fix)];
        }
    };
    let key = fetch.key();
    let mut prints = format!(
        "{}; salt {}; file {}",
        key.hash(),
        Fingerprint::salt(key),
        Fingerprint::file(key)
    );
    if let Ok(spki) = Fingerprint::spki(key) {
        prints.push_str(&format!("; spki {spki}"));
    }
    vec![
        Finding::good("the master's key", prints),
        signature_file(&fetch),
        answer(&fetch),
        clock(&fetch),
    ]
}

fn signature_file(fetch: &Fetch) -> Finding {
    let path = fetch.file().display().to_string();
    match fetch.content() {
        Ok(content) => signature::look(&path, content.as_deref(), fetch.key(), fetch.pinned()),
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            Finding::failure("signature file", detail, "look at it before you replace it")
        }
    }
}

/// What the service would answer; nothing is asked to be signed.
fn answer(fetch: &Fetch) -> Finding {
    let what = "service";
    match fetch.dry_run() {
        Ok(Outcome::Unchanged { algorithm }) => {
            Finding::good(what, format!("has this very signature, {algorithm}"))
        }
        Ok(Outcome::WouldWrite { .. } | Outcome::Written { .. }) => Finding::warning(
            what,
            "has another signature for this key than the file",
            "mastersign fetch, and restart salt-master",
        ),
        Ok(Outcome::WouldAsk | Outcome::Pending { .. }) => Finding::warning(
            what,
            "has no signature for this key: it was never asked, or the key waits for an operator",
            "mastersign fetch",
        ),
        Ok(Outcome::Mismatch { why }) => Finding::failure(
            what,
            why,
            "compare master_sign_pub with the operators; it may not be your service",
        ),
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            let fix =
                "the file that is there goes on being good; mastersign fetch tells when it is over";
            Finding::failure(what, detail, fix)
        }
    }
}

/// A proof of possession is good for ten minutes around the service's clock.
fn clock(fetch: &Fetch) -> Finding {
    let time = fetch
        .client()
        .map_err(|error| error.to_string())
        .and_then(|client| {
            let runtime = Blocking::new().map_err(|error| error.to_string())?;
            runtime
                .wait(client.time())
                .map_err(|error| error.to_string())
        });
    compared(time)
}

fn compared(time: Result<Option<Timestamp>, String>) -> Finding {
    let what = "clock";
    match time {
        Ok(Some(theirs)) => {
            let skew = theirs.distance(SystemClock.now());
            let detail = format!("{} s from the service's", skew.as_secs());
            if skew.as_secs() > MOST_SKEW {
                Finding::failure(what, detail, "synchronise the clocks (timedatectl)")
            } else {
                Finding::good(what, detail)
            }
        }
        Ok(None) => Finding::not_judged(what, "the service does not tell its time"),
        Err(error) => Finding::not_judged(what, format!("not compared: {error}")),
    }
}

/// Half of what a proof is allowed.
const MOST_SKEW: u64 = 300;
/// Where people keep copies.
const USUAL: [&str; 2] = ["/root", "/srv"];

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_clock_that_was_not_compared_is_not_judged() {
        let now = SystemClock.now();
        let off = Timestamp::from_unix(now.unix().saturating_sub(400)).unwrap();
        for (time, level) in [
            (Ok(Some(now)), Level::Good),
            (Ok(Some(off)), Level::Failure),
            (Ok(None), Level::NotJudged),
            (Err("away".to_owned()), Level::NotJudged),
        ] {
            assert_eq!(compared(time.clone()).level(), level, "{time:?}");
        }
    }
}
