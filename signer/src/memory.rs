//! Keeping secrets in memory out of reach of others on the machine.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

use crate::terminal;

/// Keeps this process out of core files, its memory from debuggers of the same user, and the words
/// of a panic from standard error. Every process that may hold a PIN does this first.
///
/// # Errors
///
/// Fails if the system refuses one of the first two; the others are in force all the same.
pub fn harden() -> nix::Result<()> {
    quiet_panics();
    close()
}

fn close() -> nix::Result<()> {
    let dumps = set_dumpable(false);
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    dumps
}

/// Lets a panic say where it happened and not what it said: its words are made of the values that
/// were at hand, and one of them may be a PIN.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let place = panic.location().map(ToString::to_string);
        // Nobody is left to tell if standard error is closed.
        let _ = terminal::note(format_args!(
            "the thread {name} panicked at {}; its words are kept back, for this process holds a PIN",
            place.unwrap_or_default()
        ));
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::prctl::get_dumpable;
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_file() {
        // The hook for panics would be that of all tests.
        close().unwrap();
        assert!(!get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        // Other tests of this process look at themselves in /proc.
        set_dumpable(true).unwrap();
    }

    #[test]
    fn a_panic_says_where_it_was_and_keeps_its_words_back() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "--nocapture", LOSES_ITS_PIN]);
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let [said, told] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(said.contains("1 passed"), "{said}");
        assert!(told.contains("memory.rs:"), "{told}");
        assert!(
            !told.contains("canary") && !said.contains("canary"),
            "{said}{told}"
        );
    }

    #[test]
    #[ignore = "the process of the test above"]
    fn a_process_that_panics_over_its_pin() {
        harden().unwrap();
        let lost = std::panic::catch_unwind(|| panic!("canary-{}", 4711));
        assert!(lost.is_err());
        drop(std::panic::take_hook());
    }

    const LOSES_ITS_PIN: &str = "memory::tests::a_process_that_panics_over_its_pin";
}
