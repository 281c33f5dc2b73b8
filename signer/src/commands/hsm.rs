//! `mastersign hsm`: make, list and test signing keys in an HSM.
//!
//! A PKCS#11 module is configured through the environment of its process, and it may crash or hang.
//! So each of these commands starts itself once more, as a child with exactly the environment that
//! the service would give to a worker: what works here works there, and what `SOFTHSM2_CONF` says
//! in the operator's shell deceives nobody. The child has the same arguments; PINs are read by the
//! parent and reach it through a pipe. `unlatch` and `unlock` load no module: they talk to the
//! service.

mod adopt;
mod adopted;
mod attributes;
mod backup;
mod bench;
mod file_key;
mod import;
mod init;
mod inside;
mod list;
pub mod pem;
mod report;
mod reserved;
pub mod secrets;
mod section;
mod target;
mod test;
mod unlatch;
mod unlock;

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use self::secrets::Secrets;
use super::Output;
use crate::memory;

/// The arguments of `mastersign hsm`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Set by the command itself when it starts its child
    #[arg(long, hide = true, global = true)]
    inside: bool,
    /// How to print the answer; json is one document per line
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate the signing key inside a token and write `master_sign.pub`
    Init(Box<init::Arguments>),
    /// Bring an existing `master_sign.pem` into a token
    Import(Box<import::Arguments>),
    /// Check a key that the vendor's tool brought into a token, and print its section
    Adopt(adopt::Arguments),
    /// Show tokens and, after a login, the RSA keys on them
    List(list::Arguments),
    /// Check that a configured key can sign: everything that the service checks when it starts
    Test(test::Arguments),
    /// Measure how many signatures a token makes
    Bench(bench::Arguments),
    /// Write the record of a ceremony: token, firmware, attributes, fingerprints, backup
    Report(report::Arguments),
    /// Let the service present a PIN again that it had stopped presenting
    Unlatch(unlatch::Arguments),
    /// Hand a PIN over to the running service, as root on its machine
    Unlock(unlock::Arguments),
}

/// Runs `mastersign hsm`.
///
/// # Errors
///
/// Fails if the arguments contradict each other or a PIN cannot be read; what the token refused is
/// reported by the child, and only its exit code comes back.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        command,
        inside,
        output,
    } = arguments;
    memory::harden().context("cannot keep this process out of core dumps")?;
    if inside {
        let secrets = Secrets::receive()?;
        return match command {
            Command::Adopt(arguments) => adopt::inside(&arguments, &secrets, output),
            Command::Bench(arguments) => bench::inside(&arguments, &secrets, output),
            Command::Import(arguments) => import::inside(&arguments, &secrets, output),
            Command::Init(arguments) => init::inside(&arguments, &secrets, output),
            Command::Report(arguments) => report::inside(&arguments, &secrets, output),
            Command::List(arguments) => list::inside(&arguments, &secrets, output),
            Command::Test(arguments) => test::inside(&arguments, &secrets, output),
            Command::Unlatch(arguments) => unlatch::run(&arguments, output),
            Command::Unlock(arguments) => unlock::run(&arguments, output),
        };
    }
    match command {
        Command::Adopt(arguments) => adopt::outside(&arguments),
        Command::Bench(arguments) => bench::outside(&arguments),
        Command::Import(arguments) => import::outside(&arguments),
        Command::Init(arguments) => init::outside(&arguments),
        Command::Report(arguments) => report::outside(&arguments),
        Command::List(arguments) => list::outside(&arguments),
        Command::Test(arguments) => test::outside(&arguments),
        Command::Unlatch(arguments) => unlatch::run(&arguments, output),
        Command::Unlock(arguments) => unlock::run(&arguments, output),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_childs_arguments_may_follow_the_parents() {
        let line = "hsm test --config /c.toml --output json --inside --hsm rack-1";
        let line = Line::try_parse_from(line.split(' ')).unwrap();
        assert!(line.arguments.inside);
        assert_eq!(line.arguments.output, Output::Json);
    }

    #[test]
    fn a_section_and_a_module_are_not_both_named() {
        let line = "hsm test --hsm rack-1 --module /m.so";
        assert!(Line::try_parse_from(line.split(' ')).is_err());
    }
}
