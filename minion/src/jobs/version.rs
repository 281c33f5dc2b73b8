//! What `test.version` and `test.versions_report` answer.
//!
//! Our own version and not Salt's: who decides by a minion's version whether it knows a function
//! must not be told that this one is a Salt. `salt-run manage.versions` reads the first number in
//! the text and lists such minions as older than the master.

use std::fmt::Write;

use crate::wire::msgpack::Value;

/// Salt's wire protocol, the only one that is spoken.
const PROTOCOL: &str = "3";

/// Our version in one line.
pub(super) fn line() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("mastersign-minion {version} (Salt wire protocol {PROTOCOL})")
}

/// In the layout of Salt's report (Salt 3008.5, `salt/version.py`, `versions_report`), whose parts
/// we have none of but the system.
pub(super) fn report(grains: &Value) -> String {
    let grain = |name: &str| {
        let Value::Map(entries) = grains else {
            return "";
        };
        let found = entries.iter().find(|(key, _)| key.as_text() == Some(name));
        found.and_then(|(_, value)| value.as_text()).unwrap_or("")
    };
    let (name, release) = (grain("osfullname"), grain("osrelease"));
    let codename = grain("oscodename");
    let sections = [
        (
            "Mastersign Version",
            vec![
                ("mastersign-minion", env!("CARGO_PKG_VERSION").to_owned()),
                ("Salt wire protocol", PROTOCOL.to_owned()),
            ],
        ),
        (
            "Dependency Versions",
            vec![("OpenSSL", openssl::version::version().to_owned())],
        ),
        (
            "System Versions",
            vec![
                (
                    "dist",
                    format!("{name} {release} {codename}").trim().to_owned(),
                ),
                ("machine", grain("cpuarch").to_owned()),
                ("release", grain("kernelrelease").to_owned()),
                ("system", grain("kernel").to_owned()),
            ],
        ),
    ];
    let mut out = String::new();
    for (section, lines) in sections {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{section}:");
        for (name, value) in lines {
            let _ = writeln!(out, "{name:>20}: {value}");
        }
        out.push_str(" \n");
    }
    out.truncate(out.trim_end_matches('\n').len());
    out
}
