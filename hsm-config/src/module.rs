//! Which PKCS#11 module a worker loads, and what it hands to it.
//!
//! The module is foreign code in the process that sees the PIN, so its path is absolute, and a file
//! that somebody else could exchange is refused: by writing it, or a directory that leads to it.
//! Vendors take settings, and some of them passwords, through init arguments and environment
//! variables: their values are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// A PKCS#11 module.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// The shared object, by absolute path.
    pub path: PathBuf,
    /// The string that `C_Initialize` gets in `pReserved`; NSS and `YubiHSM` modules read settings
    /// there.
    pub init_args: Option<String>,
    /// What the worker's environment has beside the few variables that every worker gets.
    pub environment: BTreeMap<String, String>,
    /// What the file must be, if it is pinned.
    pub sha256: Option<ModuleHash>,
}

impl Module {
    /// Checks the parts; looks at no file.
    ///
    /// # Errors
    ///
    /// Fails if the path is relative or if a value cannot be handed to the module.
    pub fn new(
        path: impl Into<PathBuf>,
        init_args: Option<String>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, ModuleError> {
        let path = path.into();
        if !path.is_absolute() {
            return Err(ModuleError::NotAbsolute);
        }
        if init_args.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(ModuleError::InitArgs);
        }
        for (variable, value) in &environment {
            if !is_variable_name(variable) || value.contains('\0') {
                return Err(ModuleError::Variable {
                    variable: variable.clone(),
                });
            }
        }
        Ok(Self {
            path,
            init_args,
            environment,
            sha256: None,
        })
    }

    /// The same module, which must have this content.
    #[must_use]
    pub fn pinned(self, sha256: Option<ModuleHash>) -> Self {
        Self { sha256, ..self }
    }

    /// Looks at the file and every directory above it, before it is loaded by the user `me`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such file, if it is not a regular file, if somebody other than root and
    /// `me` could exchange it, or if it is pinned and another one.
    pub fn check_file(&self, me: u32) -> Result<(), ModuleError> {
        let path = || self.path.clone();
        let unreadable = |source| ModuleError::Unreadable {
            path: path(),
            source,
        };
        let metadata = fs::metadata(&self.path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(ModuleError::NotFile { path: path() });
        }
        // The name that is used, and where it leads through links: each has directories of its own.
        let behind = self.path.canonicalize().map_err(unreadable)?;
        for path in self.path.ancestors().chain(behind.ancestors()) {
            let metadata = path.metadata().map_err(unreadable)?;
            let mode = metadata.mode();
            let owner = metadata.uid();
            if owner != 0 && owner != me {
                let path = path.to_owned();
                return Err(ModuleError::Owner { path, owner });
            }
            // Where the sticky bit is set, nobody exchanges what belongs to another user. Root's
            // own group is root.
            let is_sticky = metadata.is_dir() && mode & 0o1000 != 0;
            let others = if metadata.gid() == 0 { 0o002 } else { 0o022 };
            if mode & others != 0 && !is_sticky {
                return Err(ModuleError::Writable {
                    path: path.to_owned(),
                    mode: mode & 0o7777,
                });
            }
        }
        self.check_content()
    }

    /// Looks whether a pinned module's file is the one that is pinned.
    ///
    /// # Errors
    ///
    /// Fails if it is another one, or if it cannot be read.
    pub fn check_content(&self) -> Result<(), ModuleError> {
        let Some(pinned) = self.sha256 else {
            return Ok(());
        };
        let path = self.path.clone();
        let mut content = Sha256::new();
        let read = fs::File::open(&path).and_then(|mut file| io::copy(&mut file, &mut content));
        if let Err(source) = read {
            return Err(ModuleError::Unreadable { path, source });
        }
        let found = ModuleHash(content.finalize().into());
        if found == pinned {
            Ok(())
        } else {
            Err(ModuleError::Content {
                path,
                found,
                pinned,
            })
        }
    }

    /// Finds the path behind a p11-kit `module-name`: the `module:` line of `NAME.module`.
    pub(crate) fn path_by_name(name: &str, root: &Path) -> Result<PathBuf, ModuleError> {
        let unknown = || ModuleError::UnknownName {
            name: name.to_owned(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.starts_with('.') || !name.bytes().all(plain) {
            return Err(unknown());
        }
        let file = MODULE_FILES
            .iter()
            .map(|folder| root.join(folder).join(format!("{name}.module")))
            .find_map(|file| fs::read_to_string(file).ok())
            .ok_or_else(unknown)?;
        let object = file
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == "module")
            .map(|(_, value)| Path::new(value.trim()))
            .ok_or_else(unknown)?;
        if object.is_absolute() {
            return Ok(object.to_owned());
        }
        MODULE_OBJECTS
            .iter()
            .map(|folder| root.join(folder).join(object))
            .find(|path| path.is_file())
            .ok_or_else(unknown)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&String> = self.environment.keys().collect();
        f.debug_struct("Module")
            .field("path", &self.path)
            .field("init_args", &self.init_args.as_ref().map(|_| Redacted))
            .field("environment", &variables)
            .field("sha256", &self.sha256)
            .finish()
    }
}

/// The SHA-256 of a module's file, as `sha256sum` writes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModuleHash([u8; 32]);

impl FromStr for ModuleHash {
    type Err = ModuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| ModuleError::Hash)?;
        Ok(Self(hash))
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleHash({self})")
    }
}

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A file that was exchanged, or updated.
    #[error(
        "{} is not the module that is pinned: its SHA-256 is {found} and `module_sha256` says \
         {pinned}. If the vendor's package was updated, compare with what the vendor publishes and \
         write the new one; if not, find out who did that",
        .path.display()
    )]
    Content {
        /// The module's path.
        path: PathBuf,
        /// What the file is.
        found: ModuleHash,
        /// What it should be.
        pinned: ModuleHash,
    },
    /// A pin that is no hash.
    #[error("a SHA-256 is 64 hexadecimal digits, as `sha256sum` writes them")]
    Hash,
    /// Init arguments that are no C string.
    #[error("the init arguments hold a NUL character")]
    InitArgs,
    /// A path that the loader would search for.
    #[error("the module's path must be absolute; the loader would search other folders for it")]
    NotAbsolute,
    /// A folder, device or socket.
    #[error("{} is not a regular file", .path.display())]
    NotFile {
        /// The module's path.
        path: PathBuf,
    },
    /// Somebody else can put their code into the worker.
    #[error(
        "{} belongs to user {owner}, who is neither root nor the user that runs this, and who \
         could exchange the module that is loaded next to the PIN: `chown root` it",
        .path.display()
    )]
    Owner {
        /// The module, or a directory above it.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// A p11-kit name without a module file.
    #[error(
        "no module is registered under this module-name: there is no usable file of that name and \
         .module in /etc/pkcs11/modules or /usr/share/p11-kit/modules; give `module` or module-path \
         instead"
    )]
    UnknownName {
        /// The `module-name` of the URI.
        name: String,
    },
    /// The file is missing or hidden.
    #[error("failed to look at the module {}", .path.display())]
    Unreadable {
        /// The module's path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An impossible environment variable.
    #[error(
        "the environment variable {variable:?} has an impossible name, or a NUL character in its \
         value"
    )]
    Variable {
        /// Its name.
        variable: String,
    },
    /// Others can put their code into the worker.
    #[error(
        "others may write {} (mode {mode:04o}), and so exchange the module that is loaded next to \
         the PIN: `chmod go-w` it, and find out who did that",
        .path.display()
    )]
    Writable {
        /// The module, or a directory above it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Stands in a `Debug` where a value is that may be a secret.
struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

pub(crate) fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// Where p11-kit looks, the administrator's files first (p11-kit's manual, "pkcs11.conf").
const MODULE_FILES: &[&str] = &["etc/pkcs11/modules", "usr/share/p11-kit/modules"];
// Where it takes a relative `module:` from, on Debian's two 64-bit architectures and on Fedora.
const MODULE_OBJECTS: &[&str] = &[
    "usr/lib/x86_64-linux-gnu/pkcs11",
    "usr/lib/aarch64-linux-gnu/pkcs11",
    "usr/lib64/pkcs11",
    "usr/lib/pkcs11",
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn module(path: &Path) -> Module {
        Module {
            path: path.to_owned(),
            init_args: None,
            environment: BTreeMap::new(),
            sha256: None,
        }
    }

    #[test]
    fn values_that_may_be_secret_are_not_in_debug() {
        let environment = BTreeMap::from([("P11_AUTH".to_owned(), "hunter2".to_owned())]);
        let module = Module::new("/m.so", Some("password=hunter2".to_owned()), environment);
        let shown = format!(
            "{:?} {:#?}",
            module.as_ref().unwrap(),
            module.as_ref().unwrap()
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("P11_AUTH") && shown.contains("[redacted]"));
    }

    #[test]
    fn what_cannot_be_handed_over_is_refused() {
        let none = BTreeMap::new;
        assert!(matches!(
            Module::new("libsofthsm2.so", None, none()),
            Err(ModuleError::NotAbsolute)
        ));
        assert!(matches!(
            Module::new("/m.so", Some("a\0b".to_owned()), none()),
            Err(ModuleError::InitArgs)
        ));
        for (name, value) in [("", "x"), ("1A", "x"), ("A=B", "x"), ("A", "x\0y")] {
            let environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(matches!(
                Module::new("/m.so", None, environment),
                Err(ModuleError::Variable { .. })
            ));
        }
    }

    #[test]
    fn a_file_that_somebody_else_could_exchange_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("lib");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("m.so");
        let me = folder.path().metadata().unwrap().uid();
        let check = || module(&path).check_file(me);
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(matches!(check(), Err(ModuleError::Unreadable { .. })));
        fs::write(&path, "").unwrap();
        mode(&path, 0o644);
        mode(&inner, 0o755);
        check().unwrap();

        mode(&path, 0o646);
        assert!(matches!(check(), Err(ModuleError::Writable { .. })));
        mode(&path, 0o644);
        mode(&inner, 0o757);
        let refused = check().unwrap_err();
        assert!(matches!(&refused, ModuleError::Writable { path, .. } if *path == inner));
        assert!(refused.to_string().contains("0757"), "{refused}");
        // As in /tmp: what is there cannot be exchanged.
        mode(&inner, 0o1777);
        check().unwrap();
        mode(&inner, 0o755);

        // A link in a safe place to a file in an unsafe one.
        let link = folder.path().join("link.so");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        module(&link).check_file(me).unwrap();
        mode(&inner, 0o757);
        assert!(module(&link).check_file(me).is_err());

        mode(&inner, 0o755);
        let directory = module(&inner).check_file(me);
        assert!(matches!(directory, Err(ModuleError::NotFile { .. })));
    }

    #[test]
    fn a_module_that_is_pinned_must_be_that_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.so");
        fs::write(&path, "abc").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let me = path.metadata().unwrap().uid();
        // FIPS 180-2, appendix B.1.
        let pin = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let pinned = |pin: &str| module(&path).pinned(Some(pin.parse().unwrap()));
        pinned(pin).check_file(me).unwrap();
        pinned(&pin.to_uppercase()).check_file(me).unwrap();

        fs::write(&path, "abd").unwrap();
        module(&path).check_file(me).unwrap();
        let refused = pinned(pin).check_file(me).unwrap_err();
        assert!(matches!(refused, ModuleError::Content { .. }), "{refused}");
        assert!(refused.to_string().contains(pin), "{refused}");
        for no_hash in ["", "ba78", &format!("{pin}0"), &pin.replace('b', "g")] {
            let error = no_hash.parse::<ModuleHash>().unwrap_err();
            assert!(matches!(error, ModuleError::Hash), "{error}");
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.so");
        fs::write(&path, "").unwrap();
        let me = path.metadata().unwrap().uid();
        // Seen by another user, the file is somebody else's, unless it is root's.
        let seen = module(&path).check_file(me.saturating_add(1));
        match me {
            0 => seen.unwrap(),
            me => assert!(matches!(seen, Err(ModuleError::Owner { owner, .. }) if owner == me)),
        }
    }

    #[test]
    fn a_module_name_is_looked_up_where_p11_kit_does() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/pkcs11/modules");
        let share = root.path().join("usr/share/p11-kit/modules");
        let objects = root.path().join("usr/lib64/pkcs11");
        for folder in [&etc, &share, &objects] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(share.join("one.module"), "module: /opt/vendor.so\n").unwrap();
        fs::write(etc.join("one.module"), "# ours\nmodule: /opt/ours.so\n").unwrap();
        fs::write(share.join("two.module"), "module: libtwo.so\n").unwrap();
        fs::write(objects.join("libtwo.so"), "").unwrap();

        let find = |name| Module::path_by_name(name, root.path()).ok();
        assert_eq!(find("one"), Some(PathBuf::from("/opt/ours.so")));
        assert_eq!(find("two"), Some(objects.join("libtwo.so")));
        assert_eq!(find("three"), None);
        assert_eq!(find("../modules/one"), None);
    }
}
