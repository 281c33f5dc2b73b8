//! How a signing key is backed up, and what its loss would mean.
//!
//! The question is asked before the key exists, because afterwards it is too late for one of the
//! answers, and because nobody asks it on the day that the token dies.

use std::io::{self, BufRead, IsTerminal};

use anyhow::bail;

use crate::hsm::token::Custody;
use crate::terminal;

/// How the key survives its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Backup {
    /// The vendor's tool clones it from one device to another; through PKCS#11 it never leaves.
    VendorClone,
    /// It may leave the token, encrypted under a key that the security officer marked as trusted.
    Wrap,
    /// Not at all.
    None,
}

impl Backup {
    /// Asks at the terminal; without one, the option is required.
    pub(super) fn ask() -> anyhow::Result<Self> {
        if !io::stdin().is_terminal() {
            bail!(
                "say how the key is backed up with --backup vendor-clone, --backup wrap or \
                 --backup none"
            );
        }
        terminal::note(
            "How will this key be backed up?\n  \
             vendor-clone  the vendor's tool clones it to a second device; it never leaves through \
             PKCS#11\n  \
             wrap          it may leave the token, encrypted under a key that the security officer \
             trusts\n  \
             none          it is not backed up",
        )?;
        for line in io::stdin().lock().lines() {
            match line?.trim() {
                "vendor-clone" => return Ok(Self::VendorClone),
                "wrap" => return Ok(Self::Wrap),
                "none" => return Ok(Self::None),
                _ => terminal::note("Answer vendor-clone, wrap or none.")?,
            }
        }
        bail!("nobody answered how the key is backed up; nothing was made")
    }

    /// The word on the command line.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::VendorClone => "vendor-clone",
            Self::Wrap => "wrap",
            Self::None => "none",
        }
    }

    /// What it takes at generation.
    pub(super) const fn custody(self) -> Custody {
        match self {
            Self::VendorClone | Self::None => Custody::Inside,
            Self::Wrap => Custody::Wrappable,
        }
    }

    /// What losing the token would mean.
    pub(super) const fn consequence(self) -> &'static str {
        match self {
            Self::VendorClone => {
                "Clone this token with the vendor's tool, and run `mastersign hsm test` on the \
                 clone, before the first \
                 minion trusts the key. If all clones are lost, the key is lost as below."
            }
            Self::Wrap => {
                "The key can leave this token, encrypted under a wrapping key that its security \
                 officer marked as \
                 trusted; so \"never left\" cannot be shown for it, and the service has to be told \
                 require_never_extractable = \"warn\". Make the wrapped copy, restore it on a \
                 second token and run \
                 `mastersign hsm test` there before the first minion trusts the key. If the token \
                 and all copies, or \
                 the wrapping key, are lost, the key is lost as below."
            }
            Self::None => "There is no copy: if this token is lost, the key is lost as below.",
        }
    }

    /// What a lost key means; the same for all.
    pub(super) const LOSS: &'static str = "A lost key cannot be replaced by one that minions trust: signatures that are already on \
         the masters go on working for ever, but no new or changed master can get one. Every \
         minion then needs a new master_sign.pub.";
}
