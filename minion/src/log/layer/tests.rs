//! Which events reach which output.

use std::io;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::log::{DateFormat, Format};

/// A place to write to that can be read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn output(level: Level) -> Output {
    Output {
        level,
        format: Format::console(),
        datefmt: DateFormat::console(),
    }
}

fn events() {
    tracing::trace!(target: "minion::net", "trace");
    tracing::debug!(target: "minion::net", "debug");
    tracing::debug!(target: "minion::net", severity = "profile", "profile");
    tracing::info!(target: "minion::net", "info");
    tracing::warn!(target: "minion::agent", "warning");
    tracing::error!(target: "minion::agent", "error");
    tracing::error!(target: "minion::agent", severity = "critical", "critical");
}

fn shown(level: Level, granular: &[(&str, Level)]) -> Vec<String> {
    let paper = Paper::default();
    let granular = granular
        .iter()
        .map(|(name, level)| ((*name).to_owned(), *level));
    let mut layer = SaltLayer::new(Style::Salt, granular.collect());
    layer.add(output(level), Box::new(paper.clone()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
    let lines = paper.lines().into_iter();
    lines
        .map(|line| line.split("] ").nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn each_output_shows_its_level_and_above() {
    let all = [
        "trace", "debug", "profile", "info", "warning", "error", "critical",
    ];
    for (level, from) in [
        (Level::All, 0),
        (Level::Garbage, 0),
        (Level::Trace, 0),
        (Level::Debug, 1),
        (Level::Profile, 2),
        (Level::Info, 3),
        (Level::Warning, 4),
        (Level::Error, 5),
        (Level::Critical, 6),
        (Level::Quiet, 7),
    ] {
        assert_eq!(shown(level, &[]), all[from..], "{level}");
    }
}

#[test]
fn granular_levels_show_less_of_their_modules_and_never_more() {
    let net = ("minion.net", Level::Info);
    assert_eq!(
        shown(Level::Debug, &[net]),
        ["info", "warning", "error", "critical"]
    );
    assert_eq!(
        shown(Level::Debug, &[("salt", Level::Error), net]),
        ["info", "error", "critical"]
    );
    assert_eq!(
        shown(Level::Error, &[("minion", Level::Debug)]),
        ["error", "critical"]
    );
    assert_eq!(
        shown(Level::Error, &[("minion.ag", Level::Quiet)]),
        ["error", "critical"]
    );
}

#[test]
fn each_output_has_its_own_level() {
    let (console, file) = (Paper::default(), Paper::default());
    let mut layer = SaltLayer::new(Style::Salt, Vec::new());
    layer.add(output(Level::Critical), Box::new(console.clone()));
    layer.add(output(Level::Warning), Box::new(file.clone()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
    assert_eq!(console.lines(), ["[CRITICAL] critical"]);
    assert_eq!(file.lines().len(), 3);
}

#[test]
fn a_json_line_has_every_field_and_cannot_be_broken() {
    let paper = Paper::default();
    let clock = || "2026-11-05T03:04:09.007+00:00[UTC]".parse().unwrap();
    let mut layer = SaltLayer::new(Style::Json, Vec::new()).with_clock(clock);
    layer.add(output(Level::Info), Box::new(paper.clone()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "minion::agent", peer = "a\nb", attempt = 3, "one\ntwo");
    });
    let lines = paper.lines();
    assert_eq!(lines.len(), 1);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["time"], "2026-11-05T03:04:09.007Z");
    assert_eq!(line["level"], "info");
    assert_eq!(line["name"], "minion.agent");
    assert_eq!(line["message"], "one\ntwo");
    assert_eq!(line["peer"], "a\nb");
    assert_eq!(line["attempt"], "3");
}
