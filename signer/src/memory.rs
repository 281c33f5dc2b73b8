//! Keeping secrets in memory out of reach of others on the machine.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Keeps this process out of core files, and its memory from debuggers of the same user. Every
/// process that holds a PIN does this first.
///
/// # Errors
///
/// Fails if the system refuses one of the two; the other one is in force all the same.
pub fn harden() -> nix::Result<()> {
    let dumps = set_dumpable(false);
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    dumps
}

#[cfg(test)]
mod tests {
    use nix::sys::prctl::get_dumpable;
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_file() {
        harden().unwrap();
        assert!(!get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        // Other tests of this process look at themselves in /proc.
        set_dumpable(true).unwrap();
    }
}
