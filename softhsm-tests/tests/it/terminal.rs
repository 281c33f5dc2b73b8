//! What is shown to a person, and what to a program that reads along.

use std::process::Command;

use anyhow::Result;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::dialogue;
use softhsm_tests::process::attempt;

use crate::hsm_commands::lab::{LABEL, Lab};

/// A command with nothing of our own environment that decides about colours.
fn doctor(environment: &[(&str, &str)], arguments: &[&str]) -> Result<Command> {
    let mut command = mastersign()?;
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm-256color");
    command.envs(environment.iter().copied());
    command.args([
        "doctor",
        "service",
        "--config",
        "/nonexistent/mastersign.toml",
    ]);
    command.args(arguments);
    Ok(command)
}

fn on_a_terminal(environment: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
    let command = doctor(environment, arguments)?;
    let (status, shown) = dialogue::hold(command, &[])?;
    assert_eq!(status.code(), Some(2), "{shown}");
    assert!(shown.contains("failure"), "{shown}");
    Ok(shown)
}

fn into_a_pipe(environment: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
    let command = doctor(environment, arguments)?;
    let (status, answer, complaints) = attempt(&command)?;
    assert_eq!(status.code(), Some(2), "{answer}{complaints}");
    assert!(answer.contains("failure"), "{answer}");
    Ok(answer)
}

#[test]
fn colours_are_for_terminals_and_for_who_asks() -> Result<()> {
    let red = "[\u{1b}[91mfailure\u{1b}[0m]";
    assert!(on_a_terminal(&[], &[])?.contains(red));
    let forced = into_a_pipe(&[("CLICOLOR_FORCE", "1")], &[])?;
    assert!(forced.contains(red), "{forced}");
    let asked = into_a_pipe(&[], &["--color=always"])?;
    assert!(asked.contains(red), "{asked}");
    // What is asked for on the line counts above the environment.
    let both = on_a_terminal(&[("NO_COLOR", "1")], &["--color=always"])?;
    assert!(both.contains(red), "{both}");
    Ok(())
}

#[test]
fn there_is_no_colour_where_somebody_said_so() -> Result<()> {
    for plain in [
        on_a_terminal(&[("NO_COLOR", "1")], &[])?,
        on_a_terminal(&[("CLICOLOR", "0")], &[])?,
        on_a_terminal(&[("TERM", "dumb")], &[])?,
        on_a_terminal(&[], &["--color=never"])?,
        into_a_pipe(&[], &[])?,
        into_a_pipe(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[])?,
    ] {
        assert!(plain.contains("[failure]"), "{plain}");
        // Finding the width of the terminal, moving on it: nothing of that either.
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
    }
    Ok(())
}

#[test]
fn a_complaint_has_its_colour_on_a_terminal_whoever_makes_it() -> Result<()> {
    // By the parser of the command line, and by a command.
    for (words, colour) in [
        (&["no-such-command"][..], "\u{1b}["),
        (
            &["audit", "verify", "--file=/nonexistent"][..],
            "\u{1b}[91mmastersign:\u{1b}[0m ",
        ),
    ] {
        let command = |more: &[&str]| -> Result<Command> {
            let mut command = mastersign()?;
            command
                .env_remove("NO_COLOR")
                .env("TERM", "xterm")
                .args(words)
                .args(more);
            Ok(command)
        };
        let (_, shown) = dialogue::hold(command(&[])?, &[])?;
        assert!(shown.contains(colour), "{shown:?}");
        let (_, shown) = dialogue::hold(command(&["--color=never"])?, &[])?;
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let (_, _, complaints) = attempt(&command(&[])?)?;
        assert!(!complaints.contains('\u{1b}'), "{complaints:?}");
    }
    Ok(())
}

#[test]
fn a_reader_that_has_seen_enough_is_told_nothing() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = mastersign()?;
    command.args(["explain", "exit-42"]).stdout(writer);
    let output = command
        .stderr(std::process::Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(())
}

#[test]
fn long_work_shows_a_bar_on_a_terminal_and_lines_elsewhere() -> Result<()> {
    let lab = Lab::create()?;
    let init = lab.hsm(&[
        "init",
        "--init-token",
        "--token-label",
        LABEL,
        "--pin-file=pin",
        "--so-pin-file=so-pin",
        "--bits=2048",
        "--backup=none",
        "--output=json",
    ])?;
    let (_, answer, said) = attempt(&init)?;
    assert!(
        said.contains("making an RSA-2048 key inside the token …\n"),
        "{said}"
    );
    let made: serde_json::Value = serde_json::from_str(&answer)?;
    let id = made["key"]["id"].as_str().unwrap().to_owned();
    let bench = || {
        lab.hsm(&[
            "bench",
            "--token-label",
            LABEL,
            "--key-id",
            &id,
            "--pin-file=pin",
            "--time=1500ms",
            "--sessions=1",
        ])
    };
    let what = "signing the key's own public half for 1s 500ms with 1 sessions";
    let (status, _, said) = attempt(&bench()?)?;
    assert!(status.success(), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with(what)).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].ends_with(" %"), "{said}");
    assert!(!said.contains(['\u{1b}', '\r']), "{said:?}");

    let mut bench = bench()?;
    bench.env("TERM", "xterm");
    let (status, shown) = dialogue::hold(bench, &[])?;
    assert!(status.success(), "{shown}");
    assert!(shown.contains(&format!("{what} [")), "{shown:?}");
    // The bar is cleared before the answer.
    let (_, after) = shown.rsplit_once(what).unwrap();
    assert!(
        after.contains("\u{1b}[2K") || after.contains("\u{1b}[J"),
        "{after:?}"
    );
    assert!(after.contains("signatures/s"), "{after:?}");
    Ok(())
}
