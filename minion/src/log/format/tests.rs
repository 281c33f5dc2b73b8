//! Lines, byte for byte as Python writes them.

use super::*;

fn record(level: Level) -> Record {
    Record {
        level,
        name: "minion.agent".to_owned(),
        message: "Connection to master 10.0.0.1 lost".to_owned(),
        jid: String::new(),
        fields: Vec::new(),
        file: "minion/src/agent/driver.rs",
        line: 42,
        process: 4711,
        time: "2026-11-05T03:04:09.007+00:00[UTC]".parse().unwrap(),
    }
}

fn line(format: &str, level: Level) -> String {
    let format = Format::parse(format).unwrap();
    format.line(&record(level), &DateFormat::logfile())
}

#[test]
fn salts_own_two_formats_are_those_of_the_tutorial_and_of_the_log_file() {
    let console = Format::console();
    assert_eq!(
        console.line(&record(Level::Info), &DateFormat::console()),
        "[INFO    ] Connection to master 10.0.0.1 lost"
    );
    assert_eq!(
        Format::logfile().line(&record(Level::Critical), &DateFormat::logfile()),
        "2026-11-05 03:04:09,007 [minion.agent     :42  ][CRITICAL][4711] Connection to master \
         10.0.0.1 lost"
    );
}

#[test]
fn flags_width_and_precision_are_pythons() {
    for (format, expected) in [
        ("%(levelname)s|", "WARNING|"),
        ("%(levelname)10s|", "   WARNING|"),
        ("%(levelname)-10s|", "WARNING   |"),
        ("%(levelname).1s|", "W|"),
        ("%(process)08d|", "00004711|"),
        ("%(process)-8d|", "4711    |"),
        ("100%% %(levelno)d", "100% 30"),
        ("%(module)s %(filename)s", "driver driver.rs"),
        (
            "%(bracketname)s%(bracketlevel)s%(bracketprocess)s",
            "[minion.agent     ][WARNING ][ 4711]",
        ),
        ("%(asctime)s.%(msecs)03d", "2026-11-05 03:04:09.007"),
    ] {
        assert_eq!(line(format, Level::Warning), expected, "{format}");
    }
}

#[test]
fn colours_are_salts() {
    assert_eq!(
        line("%(colorlevel)s %(colormsg)s", Level::Error),
        "\x1b[0;1;31m[ERROR   ]\x1b[0;0m \x1b[0;31mConnection to master 10.0.0.1 lost\x1b[0;0m"
    );
}

#[test]
fn a_format_that_python_would_fail_on_is_refused() {
    for (format, word) in [
        ("%", "each %"),
        ("100% sure", "each %"),
        ("%(levelname)", "each %"),
        ("%(levelname", "each %"),
        ("%(nothing)s", "%(nothing)s"),
    ] {
        let error = Format::parse(format).unwrap_err().to_string();
        assert!(error.contains(word), "{format}: {error}");
    }
}

#[test]
fn what_else_an_event_says_stands_behind_the_message() {
    let mut record = record(Level::Info);
    record.fields.push(("peer", "a\nb".to_owned()));
    assert_eq!(
        Format::console().line(&record, &DateFormat::console()),
        "[INFO    ] Connection to master 10.0.0.1 lost peer=a\\nb"
    );
}

#[test]
fn a_job_is_named_by_log_fmt_jid_and_no_job_by_nothing() {
    let about = |jid: &str| Record {
        jid: jid.to_owned(),
        ..record(Level::Info)
    };
    let line = |format: &Format, jid| format.line(&about(jid), &DateFormat::logfile());
    let format = Format::parse("%(jid)s|").unwrap();
    assert_eq!(line(&format, "2026"), "[JID: 2026]|");
    assert_eq!(line(&format, ""), "|");
    let format = format.with_jid(JidFormat::parse("100%% <%(jid)6s>").unwrap());
    assert_eq!(line(&format, "2026"), "100% <  2026>|");
    for bad in ["%(message)s", "%(jid)", "%"] {
        assert!(JidFormat::parse(bad).is_err(), "{bad}");
    }
}
