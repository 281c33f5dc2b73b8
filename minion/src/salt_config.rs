//! Salt's own configuration files, found and merged as Salt does it.
//!
//! A minion and a master are configured by the same rules: a main file, drop-ins, includes. The
//! minion's program and the signing service's `fetch` read them here, so what one of them
//! understands the other does not misread. Which options there are is for those who ask for them.
//!
//! [`parse`] and the merging of tables are pure; [`load`] is what opens files. Both programs run as
//! root and read directories that a package may have given to somebody else, so a file is opened
//! without waiting, must be a regular one of bounded size, and is never quoted in an error.

mod file;
mod include;
mod path;
mod pattern;
mod planned;
mod table;

pub use file::{FileError, Source, mapping, text};
pub use include::{Daemon, Loaded, load, load_planned};
pub use path::{below, normal};
pub use planned::Planned;
pub use table::{Entry, Table, parse};

/// Salt's `append_domain`: unless the name ends with it, or with a dot.
///
/// Salt 3008.5, `salt/config/__init__.py`, `_append_domain`.
#[must_use]
pub fn with_domain(name: String, domain: &str) -> String {
    if name.ends_with(domain) || name.ends_with('.') {
        return name;
    }
    format!("{name}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_added_once() {
        for (name, expected) in [
            ("m1", "m1.example.org"),
            ("m1.example.org", "m1.example.org"),
            ("m1.", "m1."),
        ] {
            assert_eq!(with_domain(name.to_owned(), "example.org"), expected);
        }
    }
}
