//! Which PKCS#11 module a worker loads, and what it hands to it.
//!
//! The module is foreign code in the process that sees the PIN, so its path is absolute and a file
//! that everybody may overwrite is refused. Vendors take settings, and some of them passwords,
//! through init arguments and environment variables: their values are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
        })
    }

    /// Looks at the file, before it is loaded.
    ///
    /// # Errors
    ///
    /// Fails if there is no such file, if it is not a regular file, or if everybody may write it.
    pub fn check_file(&self) -> Result<(), ModuleError> {
        let path = || self.path.clone();
        let metadata = fs::metadata(&self.path).map_err(|source| ModuleError::Unreadable {
            path: path(),
            source,
        })?;
        if !metadata.is_file() {
            Err(ModuleError::NotFile { path: path() })
        } else if metadata.permissions().mode() & 0o002 != 0 {
            Err(ModuleError::WritableByAll { path: path() })
        } else {
            Ok(())
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
            .finish()
    }
}

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
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
    /// A p11-kit name without a module file.
    #[error(
        "no module is registered as {name:?}: there is no usable {name}.module in /etc/pkcs11/modules or \
         /usr/share/p11-kit/modules; give `module` or module-path instead"
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
        "the environment variable {variable:?} has an impossible name, or a NUL character in its value"
    )]
    Variable {
        /// Its name.
        variable: String,
    },
    /// Anybody can put their code into the worker.
    #[error("everybody may write {}: `chmod o-w` it, and find out who did that", .path.display())]
    WritableByAll {
        /// The module's path.
        path: PathBuf,
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
    use super::*;

    fn module(path: &Path) -> Module {
        Module {
            path: path.to_owned(),
            init_args: None,
            environment: BTreeMap::new(),
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
    fn a_file_that_everybody_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.so");
        assert!(matches!(
            module(&path).check_file(),
            Err(ModuleError::Unreadable { .. })
        ));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        module(&path).check_file().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(matches!(
            module(&path).check_file(),
            Err(ModuleError::WritableByAll { .. })
        ));
        assert!(matches!(
            module(folder.path()).check_file(),
            Err(ModuleError::NotFile { .. })
        ));
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
