//! `mastersign audit`: read the audit log and check it, from the service or from a file.

mod source;
mod tail;
mod verify;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::connection::Options;
use crate::audit::chain::Head;
use source::Source;

/// The arguments of `mastersign audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Read this database of a service that runs or not, instead of asking the service
    #[arg(long, value_name = "FILE", global = true, conflicts_with_all = ["url", "file"])]
    database: Option<PathBuf>,
    /// Read this export
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "url")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Options,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write every record as it is hashed, one a line
    Export {
        /// Only the records behind this one
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// Into a new file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the last records, and those to come
    Tail(tail::Arguments),
    /// Check that no record was changed, removed, added or moved
    Verify {
        /// A head from a log that is kept elsewhere, SEQ:HASH; may be repeated. Without one, a tail
        /// that was cut off and a log that was written anew as a whole are not found
        #[arg(long = "head", value_name = "SEQ:HASH", value_parser = verify::head)]
        heads: Vec<Head>,
    },
}

/// Runs `mastersign audit`.
///
/// # Errors
///
/// Fails if the log cannot be read or the answer cannot be written.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        command,
        database,
        file,
        connection,
    } = arguments;
    let mut source = Source::open(database, file, connection)?;
    match command {
        Command::Export { after, out } => export(&mut source, after, out),
        Command::Tail(arguments) => tail::run(&mut source, &arguments),
        Command::Verify { heads } => verify::run(&mut source, &heads),
    }
}

fn export(source: &mut Source, mut after: u64, out: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut out: Box<dyn Write> = match out {
        Some(path) => {
            let file = std::fs::File::create_new(&path);
            Box::new(file.with_context(|| format!("cannot make {}", path.display()))?)
        }
        None => Box::new(std::io::stdout()),
    };
    loop {
        let page = source.page(after)?;
        if page.is_empty() {
            out.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        for record in page {
            out.write_all(&record)?;
            out.write_all(b"\n")?;
            after = after.saturating_add(1);
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments, 42 the log was altered";
/// As `fetch` and Salt's minion end when a signature does not verify.
const ALTERED: u8 = 42;
