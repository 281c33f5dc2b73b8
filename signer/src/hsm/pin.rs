//! Reading a PIN from where the configuration points.
//!
//! The service reads PINs, not the worker: a worker runs foreign code from its first moment, and a
//! PIN that a worker fetched could be fetched by that code too. `hsm_config` only describes the
//! sources, so that a configuration can be checked by anybody who may not see the PIN.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hsm_config::PinSource;
use nix::unistd::geteuid;
use secrecy::SecretString;
use zeroize::Zeroizing;

mod command;

/// Reads the PIN; blocks as long as the source does.
///
/// # Errors
///
/// Says what is wrong with the source, never what it holds. All but [`Error::Locked`] may be cured
/// from outside.
pub fn read(source: &PinSource) -> Result<SecretString, Error> {
    read_with(source, environment)
}

/// Checks a file with a PIN as the service will that runs as `user`, for whoever looks at it as
/// root.
///
/// # Errors
///
/// As [`read`].
pub fn check_file(path: &Path, user: u32) -> Result<(), Error> {
    file(path, Guard::Mode, user).map(drop)
}

/// A descriptor from which a PIN is to be read, taken over from whoever started this process.
///
/// Nothing is open under its number any more: every process that this one starts would inherit it,
/// the workers of other HSMs and the PIN commands among them.
#[derive(Debug)]
pub struct Inherited(File);

impl Inherited {
    /// Takes over the source's descriptor, if it is one.
    pub fn of(source: &PinSource) -> Option<Result<Self, Error>> {
        match source {
            PinSource::Descriptor { fd } => Some(Self::take(*fd)),
            PinSource::Command { .. }
            | PinSource::Credential { .. }
            | PinSource::Environment { .. }
            | PinSource::File { .. }
            | PinSource::Locked
            | PinSource::Prompt => None,
        }
    }

    fn take(fd: i32) -> Result<Self, Error> {
        if is_our_own(fd) {
            return Err(Error::NotInherited { fd });
        }
        let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
        let failed = |source| Error::File {
            path: path.clone(),
            source,
        };
        // What the standard library opens is closed when another program is started.
        let file = File::open(&path).map_err(failed)?;
        nix::unistd::close(fd).map_err(|error| failed(error.into()))?;
        Ok(Self(file))
    }

    /// Reads the PIN; blocks until the other end is closed.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn read(self) -> Result<SecretString, Error> {
        contents(self.0).map_err(|source| Error::File {
            path: PathBuf::from("the inherited descriptor"),
            source,
        })?
    }
}

/// Whether this process has opened the descriptor by itself: those are closed on exec, and one that
/// was inherited cannot be.
///
/// A system that does not tell is believed to mean no: the number is the operator's word.
fn is_our_own(fd: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & nix::libc::O_CLOEXEC != 0)
}

/// Reads the PIN from somewhere else, to its end; blocks as long as that does.
///
/// # Errors
///
/// As [`read`].
pub fn from_reader(from: impl Read) -> Result<SecretString, Error> {
    contents(from).map_err(|source| Error::File {
        path: PathBuf::from("standard input"),
        source,
    })?
}

/// Whether reading the source again can give another PIN, and asks nobody.
#[must_use]
pub const fn is_rereadable(source: &PinSource) -> bool {
    match source {
        PinSource::Command { .. } | PinSource::Credential { .. } | PinSource::File { .. } => true,
        PinSource::Descriptor { .. }
        | PinSource::Environment { .. }
        | PinSource::Locked
        | PinSource::Prompt => false,
    }
}

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command did not start, or its output could not be read.
    #[error("failed to run the PIN command {program}")]
    Command {
        /// Without its arguments.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The command reported failure.
    #[error("the PIN command {program} ended with {status}")]
    CommandFailed {
        /// Without its arguments.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The command was killed at its deadline.
    #[error(
        "the PIN command {program} took longer than {} and was killed",
        humantime::format_duration(*.deadline)
    )]
    CommandLate {
        /// Without its arguments.
        program: String,
        /// What it was allowed.
        deadline: Duration,
    },
    /// The source holds nothing.
    #[error("the PIN source is empty")]
    Empty,
    /// The source could not be read.
    #[error("failed to read the PIN from {path}")]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No source is configured.
    #[error("no PIN source is configured")]
    Locked,
    /// The service was not started by systemd with credentials.
    #[error("CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential=")]
    NoCredentials,
    /// A directory, a pipe or a device.
    #[error("the PIN file {path} is not a regular file")]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// The number is that of a file or socket of this process.
    #[error("descriptor {fd} was not inherited, or was read before")]
    NotInherited {
        /// Its number.
        fd: i32,
    },
    /// Bytes that are no text.
    #[error("the PIN is not UTF-8 text")]
    NotText,
    /// Somebody else could have written it.
    #[error("the PIN file {path} belongs to user {owner}, not to this one or root")]
    Owner {
        /// Which.
        path: PathBuf,
        /// The user id.
        owner: u32,
    },
    /// Others can read it.
    #[error(
        "the PIN file {path} has mode {mode:04o}; chmod 0400 it: nobody but its owner may read it"
    )]
    Permissions {
        /// Which.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The terminal did not answer.
    #[error("failed to ask for the PIN on the terminal")]
    Prompt(#[source] io::Error),
    /// The thread that reads did not start.
    #[error("failed to start the thread that reads the PIN")]
    Thread(#[source] io::Error),
    /// No token has such a long PIN.
    #[error("the PIN source holds more than {LONGEST} bytes")]
    TooLong,
    /// The variable is not set.
    #[error("the environment variable {variable} is not set")]
    Variable {
        /// Its name.
        variable: String,
    },
}

/// Who else may have access to a file with a PIN in it.
#[derive(Clone, Copy)]
enum Guard {
    /// Nobody: owner and mode are checked.
    Mode,
    /// systemd guards the directory, and shows its access list as group bits.
    Systemd,
}

fn read_with(
    source: &PinSource,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<SecretString, Error> {
    match source {
        PinSource::Command { argv, deadline } => trimmed(command::output(argv, *deadline)?),
        PinSource::Credential { name } => {
            let directory = environment("CREDENTIALS_DIRECTORY").ok_or(Error::NoCredentials)?;
            let path = Path::new(&directory).join(name);
            file(&path, Guard::Systemd, geteuid().as_raw())
        }
        PinSource::Descriptor { fd } => Inherited::take(*fd)?.read(),
        PinSource::Environment { variable } => {
            let value = environment(variable).ok_or_else(|| Error::Variable {
                variable: variable.clone(),
            })?;
            trimmed(Zeroizing::new(value.into_bytes()))
        }
        PinSource::File { path } => file(path, Guard::Mode, geteuid().as_raw()),
        PinSource::Locked => Err(Error::Locked),
        PinSource::Prompt => {
            let pin = rpassword::prompt_password("PIN: ").map_err(Error::Prompt)?;
            trimmed(Zeroizing::new(pin.into_bytes()))
        }
    }
}

fn file(path: &Path, guard: Guard, user: u32) -> Result<SecretString, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    // A named pipe in the file's place must not hold up the service.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    check(path, &file.metadata().map_err(failed)?, guard, user)?;
    contents(file).map_err(failed)?
}

fn contents(from: impl Read) -> io::Result<Result<SecretString, Error>> {
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST.saturating_add(2)));
    bounded(from).read_to_end(&mut content)?;
    Ok(trimmed(content))
}

fn check(path: &Path, metadata: &std::fs::Metadata, guard: Guard, user: u32) -> Result<(), Error> {
    let path = || path.to_owned();
    let refused = match guard {
        Guard::Mode => 0o077,
        Guard::Systemd => 0o007,
    };
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path() });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != user {
        return Err(Error::Owner {
            path: path(),
            owner,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & refused == 0 {
        Ok(())
    } else {
        Err(Error::Permissions { path: path(), mode })
    }
}

/// The longest PIN, its newline, and one byte that shows that there is more.
fn bounded(reader: impl Read) -> impl Read {
    reader.take(u64::try_from(LONGEST.saturating_add(2)).unwrap_or(u64::MAX))
}

/// Takes off one newline: editors and `echo` write one, and a PIN may end with a space.
fn trimmed(mut content: Zeroizing<Vec<u8>>) -> Result<SecretString, Error> {
    if content.last() == Some(&b'\n') {
        content.pop();
    }
    if content.len() > LONGEST {
        return Err(Error::TooLong);
    }
    match std::str::from_utf8(&content) {
        Ok("") => Err(Error::Empty),
        Ok(pin) => Ok(SecretString::from(pin)),
        Err(_) => Err(Error::NotText),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "systemd names its directory this way, and the operator allowed the variable"
)]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// More than any token takes: PKCS#11 modules stop at 255 or earlier.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_loses_one_newline_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for (content, pin) in [("1234", "1234"), ("1234\n", "1234"), (" 12\n\n", " 12\n")] {
            let path = written(directory.path(), content.as_bytes(), 0o400);
            assert_eq!(read_file(&path).unwrap(), pin);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o440, 0o404, 0o620, 0o602, 0o410, 0o401] {
            let path = written(directory.path(), b"1234", mode);
            let refused = read_file(&path);
            assert!(
                matches!(refused, Err(Error::Permissions { .. })),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_file(directory.path()),
            Err(Error::NotAFile { .. })
        ));
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(read_file(&pipe), Err(Error::NotAFile { .. })));
    }

    #[test]
    fn a_link_is_judged_by_the_file_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path(), b"1234", 0o444);
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read_file(&link), Err(Error::Permissions { .. })));
    }

    /// Only root can give a file away.
    mod as_root {
        use super::*;

        #[test]
        fn a_file_of_another_user_is_refused() {
            let directory = tempfile::tempdir().unwrap();
            let path = written(directory.path(), b"1234", 0o400);
            let stranger = Some(nix::unistd::Uid::from_raw(4242));
            nix::unistd::chown(&path, stranger, None).unwrap();
            let refused = read_file(&path);
            assert!(matches!(refused, Err(Error::Owner { owner: 4242, .. })));
        }
    }

    #[test]
    fn an_empty_a_long_and_a_binary_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path(), b"\n", 0o400);
        assert!(matches!(read_file(&path), Err(Error::Empty)));
        let path = written(directory.path(), &[b'1'; LONGEST + 1], 0o400);
        assert!(matches!(read_file(&path), Err(Error::TooLong)));
        let path = written(directory.path(), &[0xff, 0xfe], 0o400);
        assert!(matches!(read_file(&path), Err(Error::NotText)));
        let path = written(directory.path(), &[b'1'; LONGEST], 0o400);
        assert_eq!(read_file(&path).unwrap().len(), LONGEST);
    }

    #[test]
    fn a_credential_is_looked_up_in_the_directory_of_systemd() {
        let directory = tempfile::tempdir().unwrap();
        // An access list for the service's user shows as a group bit.
        written(directory.path(), b"1234\n", 0o440);
        let source = PinSource::Credential {
            name: "pin".to_owned(),
        };
        let place = directory.path().to_str().unwrap().to_owned();
        let pin = read_with(&source, |_| Some(place.clone())).unwrap();
        assert_eq!(pin.expose_secret(), "1234");
        assert!(matches!(
            read_with(&source, |_| None),
            Err(Error::NoCredentials)
        ));
        written(directory.path(), b"1234\n", 0o444);
        assert!(matches!(
            read_with(&source, |_| Some(place.clone())),
            Err(Error::Permissions { .. })
        ));
    }

    #[test]
    fn an_inherited_descriptor_is_read() {
        use std::io::Write;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"1234\n").unwrap();
        drop(writer);
        let fd = inherited(&reader);
        let inherited = Inherited::of(&PinSource::Descriptor { fd }).unwrap();
        let open = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        assert!(open.is_err(), "whatever is started now would have it");
        assert_eq!(inherited.unwrap().read().unwrap().expose_secret(), "1234");
    }

    #[test]
    fn a_descriptor_of_our_own_is_neither_read_nor_closed() {
        use std::os::fd::AsRawFd;
        let (reader, writer) = io::pipe().unwrap();
        let fd = reader.as_raw_fd();
        let refused = read(&PinSource::Descriptor { fd });
        assert!(matches!(refused, Err(Error::NotInherited { .. })));
        drop((reader, writer));
    }

    /// The number of a copy that is not closed on exec, like one from a shell.
    fn inherited(reader: &io::PipeReader) -> i32 {
        use nix::fcntl::{FcntlArg, fcntl};
        // Far from what other tests get and lose meanwhile.
        fcntl(reader, FcntlArg::F_DUPFD(700)).unwrap()
    }

    #[test]
    fn a_variable_is_read_when_the_configuration_names_one() {
        let source = PinSource::Environment {
            variable: "PIN".to_owned(),
        };
        let pin = read_with(&source, |name| (name == "PIN").then(|| "1234".to_owned()));
        assert_eq!(pin.unwrap().expose_secret(), "1234");
        assert!(matches!(
            read_with(&source, |_| None),
            Err(Error::Variable { .. })
        ));
    }

    #[test]
    fn no_source_is_locked() {
        assert!(matches!(read(&PinSource::Locked), Err(Error::Locked)));
    }

    fn read_file(path: &Path) -> Result<String, Error> {
        let path = path.to_owned();
        read(&PinSource::File { path }).map(|pin| pin.expose_secret().to_owned())
    }

    fn written(directory: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.join("pin");
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, content).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
        path
    }
}
