//! salt-key's letters, for fingers that know them.
//!
//! Each is one of the commands; those that act on many keys at once, and `-y`, are answered and not
//! obeyed, here as there.

use clap::ValueEnum;

use super::usage::Usage;
use super::{Choice, Command, Deciding};

/// The letters of salt-key.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "As salt-key")]
pub(super) struct Letters {
    /// List all keys by group: `list`
    #[arg(short = 'L', long = "list-all")]
    list_all: bool,
    /// List one group: acc, un, rej, den, rev
    #[arg(short = 'l', long = "list", value_name = "GROUP", value_enum)]
    list: Option<Group>,
    /// Accept one key of this master, as `accept ID`; --key names it
    #[arg(short = 'a', long = "accept", value_name = "ID")]
    accept: Option<String>,
    /// Reject one key of this master, as `reject ID`; --key names it
    #[arg(short = 'r', long = "reject", value_name = "ID")]
    reject: Option<String>,
    /// Forget one key of this master that waits or was rejected, as `forget ID`; --key names it
    #[arg(short = 'd', long = "delete", value_name = "ID")]
    delete: Option<String>,
    /// Show this master's fingerprints, as `show ID`; whose a fingerprint with colons is, as `find`
    #[arg(short = 'f', long = "finger", value_name = "ID")]
    finger: Option<String>,
    /// Show all fingerprints, as `fingerprints`
    #[arg(short = 'F', long = "finger-all")]
    finger_all: bool,
    /// With -a, -r and -d: the key, by its SHA-256 or any fingerprint
    #[arg(long = "key", value_name = "FINGERPRINT", id = "letters_key")]
    key: Option<String>,
    /// With -a, -r and -d: print the statement that would be signed; sends nothing
    #[arg(long = "dry-run", id = "letters_dry_run")]
    dry_run: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'A', long = "accept-all", hide = true)]
    accept_all: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'R', long = "reject-all", hide = true)]
    reject_all: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'D', long = "delete-all", hide = true)]
    delete_all: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'y', long = "yes", hide = true, id = "letters_yes")]
    yes: bool,
}

/// A group of the list, by salt-key's names; whole words do as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Group {
    /// Accepted keys.
    #[value(name = "accepted", aliases = ["acc"])]
    Accepted,
    /// Denied keys.
    #[value(name = "denied", aliases = ["den"])]
    Denied,
    /// Rejected keys.
    #[value(name = "rejected", aliases = ["rej"])]
    Rejected,
    /// Revoked keys; salt-key has none.
    #[value(name = "revoked", aliases = ["rev"])]
    Revoked,
    /// Keys that wait for a decision.
    #[value(name = "unaccepted", aliases = ["pre", "un", "pending"])]
    Unaccepted,
}

impl Letters {
    /// The command that the letters stand for; none if there are none.
    pub(super) fn command(self) -> Result<Option<Command>, Usage> {
        if self.yes {
            return Err(Usage::Yes);
        }
        if self.accept_all {
            return Err(Usage::All);
        }
        if self.reject_all || self.delete_all {
            return Err(Usage::Many);
        }
        let choice = |id: String| Choice {
            id: Some(id),
            key: self.key.clone(),
            dry_run: self.dry_run,
            ..Choice::default()
        };
        let mut commands = [
            self.list_all.then_some(Command::List),
            self.list.map(|group| Command::Group { group }),
            self.accept
                .map(|id| Command::Decide(Deciding::Accept(choice(id)))),
            self.reject
                .map(|id| Command::Decide(Deciding::Reject(choice(id)))),
            self.delete
                .map(|id| Command::Decide(Deciding::Forget(choice(id)))),
            self.finger.map(|given| {
                // No name of a master has a colon.
                if given.contains(':') {
                    Command::Find { fingerprint: given }
                } else {
                    Command::Show { id: given }
                }
            }),
            self.finger_all.then_some(Command::Fingerprints),
        ]
        .into_iter()
        .flatten();
        match (commands.next(), commands.next()) {
            (command, None) => Ok(command),
            (_, Some(_)) => Err(Usage::Twice),
        }
    }
}
