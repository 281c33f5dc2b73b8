//! `mastersign explain`: what a problem or an exit code means, and what to do, without a network.
//!
//! The text is the page of the documentation, so that the two cannot differ.

use std::process::ExitCode;

use crate::api::problem::NAMESPACE;
use crate::terminal;

/// The arguments of `mastersign explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A problem's code or type, as hsm-saturated or urn:mastersign:problem:hsm-saturated, or an exit
    /// code, as 42; without it, all that there are are listed
    code: Option<String>,
}

/// Runs `mastersign explain`.
///
/// # Errors
///
/// Fails if there is no such code.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(code) = arguments.code else {
        for (name, _) in sections() {
            terminal::say(name)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let wanted = name(&code);
    match sections().find(|(name, _)| *name == wanted) {
        Some((name, text)) => {
            terminal::say(format_args!("{name}\n\n{text}"))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            let near = sections()
                .map(|(name, _)| (strsim::jaro_winkler(name, &wanted), name))
                .max_by(|(one, _), (two, _)| one.total_cmp(two));
            let near = near.map(|(_, name)| name).unwrap_or_default();
            anyhow::bail!("there is no code {code:?}; did you mean {near}?")
        }
    }
}

/// The section that a person means.
fn name(code: &str) -> String {
    let code = code.trim().trim_start_matches(NAMESPACE);
    if code.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("exit-{code}")
    } else {
        code.to_ascii_lowercase()
    }
}

/// Each code with its text.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n### ").skip(1).filter_map(|section| {
        let (name, text) = section.split_once('\n')?;
        let text = text.split("\n## ").next().unwrap_or(text);
        Some((name.trim(), text.trim()))
    })
}

const PAGE: &str = include_str!("../../../docs/problems.md");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::api::problem::Kind;

    #[test]
    fn every_problem_has_a_section_that_names_its_status_and_nothing_else_has_one() {
        let sections: Vec<_> = sections().collect();
        let names: BTreeSet<&str> = sections.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), sections.len(), "each section once");
        let codes: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::code).collect();
        let problems: BTreeSet<&str> = names
            .iter()
            .copied()
            .filter(|name| !name.starts_with("exit-"))
            .collect();
        assert_eq!(problems, codes);
        for kind in Kind::ALL {
            let (_, text) = sections
                .iter()
                .find(|(name, _)| *name == kind.code())
                .unwrap();
            let status = format!("{}. ", kind.status().as_u16());
            assert!(text.starts_with(&status), "{}", kind.code());
        }
    }

    /// The numbers in what a command's help says about its exit codes.
    fn exit_codes(command: &clap::Command, found: &mut BTreeSet<String>) {
        let help = command.get_after_help().map(ToString::to_string);
        if let Some((_, codes)) = help.as_deref().unwrap_or_default().split_once("Exit codes") {
            let words = codes.split([' ', '\n', ',', ';', ':']);
            let number =
                |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            found.extend(words.filter(number).map(|code| format!("exit-{code}")));
        }
        for below in command.get_subcommands() {
            exit_codes(below, found);
        }
    }

    #[test]
    fn every_exit_code_that_a_command_names_has_a_section() {
        let mut named = BTreeSet::new();
        exit_codes(&crate::cli::Cli::command(), &mut named);
        // Those of the minion, which has a test of its own for them.
        named.extend(["exit-69", "exit-77"].map(str::to_owned));
        let told: BTreeSet<String> = sections()
            .filter(|(name, _)| name.starts_with("exit-"))
            .map(|(name, _)| name.to_owned())
            .collect();
        assert_eq!(named, told);
    }

    #[test]
    fn a_code_is_found_as_people_have_it() {
        let urn = format!("{NAMESPACE}hsm-saturated");
        for (given, found) in [
            ("hsm-saturated", "hsm-saturated"),
            (urn.as_str(), "hsm-saturated"),
            ("42", "exit-42"),
            ("exit-42", "exit-42"),
            ("Key-Unfit", "key-unfit"),
        ] {
            assert_eq!(name(given), found);
            assert!(sections().any(|(name, _)| name == found));
        }
    }

    /// `store::tests::second_thoughts` holds that it is so.
    #[test]
    fn the_revocation_of_a_whole_id_is_said_to_be_lifted_by_reinstating_it() {
        let (_, text) = sections().find(|(name, _)| *name == "key-revoked").unwrap();
        assert!(text.contains("mastersign masters reinstate ID"), "{text}");
        let command = crate::cli::Cli::command();
        let revoke = command
            .find_subcommand("masters")
            .and_then(|masters| masters.find_subcommand("revoke"));
        let about = revoke.unwrap().get_about().unwrap().to_string();
        assert!(about.contains("until it is reinstated"), "{about}");
    }

    #[test]
    fn a_near_miss_is_suggested() {
        let arguments = Arguments {
            code: Some("hsm-saturate".to_owned()),
        };
        let error = run(arguments).unwrap_err().to_string();
        assert!(error.ends_with("did you mean hsm-saturated?"), "{error}");
    }
}
