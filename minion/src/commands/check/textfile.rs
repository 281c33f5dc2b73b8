//! The answer for the textfile collector of Prometheus' `node_exporter`.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::Checked;
use super::report::{STATES, state};

/// One series for each master and state, of which one is 1: an alert on `does_not_verify` needs no
/// arithmetic, and a series never vanishes.
pub(super) fn content(checked: &[Checked], now: i64) -> String {
    let mut lines = vec![
        "# HELP mastersign_minion_check Whether a master is in this state for this minion."
            .to_owned(),
        "# TYPE mastersign_minion_check gauge".to_owned(),
    ];
    for (master, verdict) in checked {
        let master = label(&master.name);
        lines.extend(STATES.map(|word| {
            let value = u8::from(state(verdict) == word);
            format!("mastersign_minion_check{{master=\"{master}\",state=\"{word}\"}} {value}")
        }));
    }
    lines.push(
        "# HELP mastersign_minion_check_timestamp_seconds When the masters were asked.".to_owned(),
    );
    lines.push("# TYPE mastersign_minion_check_timestamp_seconds gauge".to_owned());
    lines.push(format!("mastersign_minion_check_timestamp_seconds {now}\n"));
    lines.join("\n")
}

/// Replaces the file at once: the collector must never read half of it.
pub(super) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    let name = path.file_name().context("--textfile names no file")?;
    // The collector reads *.prom only.
    let next = path.with_file_name(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = fs::File::create_new(&next)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        // What was begun is in the way of the next attempt only.
        let _ = fs::remove_file(&next);
    }
    written.with_context(|| format!("failed to write {}", path.display()))
}

/// Text as it may stand in a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::all;
    use super::*;

    #[test]
    fn each_master_has_one_state() {
        let content = content(&all(), 1_700_000_000);
        assert!(content.contains("\nmastersign_minion_check{master=\"a\",state=\"verifies\"} 1\n"));
        assert!(
            content.contains("\nmastersign_minion_check{master=\"a\",state=\"unreachable\"} 0\n")
        );
        let ones = content.lines().filter(|line| line.ends_with("} 1")).count();
        let zeros = content.lines().filter(|line| line.ends_with("} 0")).count();
        assert_eq!((ones, zeros), (5, 20));
        assert!(content.ends_with("mastersign_minion_check_timestamp_seconds 1700000000\n"));
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn the_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("minion.prom");
        for content in ["one\n", "two\n"] {
            write(&path, content).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write(Path::new("/nonexistent/x.prom"), "x").is_err());
    }
}
