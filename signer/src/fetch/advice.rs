//! What an operator should know about this machine, whatever the service says.

use std::path::PathBuf;

use super::Fetch;

impl Fetch {
    /// Private signing keys that lie beside it.
    #[must_use]
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let configured = format!("{}.pem", self.prepared.salt.sign_key_name);
        let mut names = vec![configured, "master_sign.pem".to_owned()];
        names.dedup();
        names
            .into_iter()
            .filter(|name| !name.contains('/') && self.directory.has(name))
            .map(|name| self.directory.path().join(name))
            .collect()
    }

    /// What an operator should know about this machine, whatever the outcome.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let salt = &self.prepared.salt;
        let mut warnings = Vec::new();
        for path in self.leftovers() {
            warnings.push(format!(
                "{} is a private signing key on a master: whoever reads it owns every minion that \
                 trusts it; with a signature file salt-master does not need it, and a key that lay \
                 here is no secret any more",
                path.display()
            ));
        }
        if let Some(user) = &salt.user
            && let Ok(Some(found)) = nix::unistd::User::from_name(user)
            && !found.uid.is_root()
            && found.uid != nix::unistd::geteuid()
        {
            warnings.push(format!(
                "salt-master is configured to run as {user}, who does not own {}",
                self.directory.path().display()
            ));
        }
        warnings
    }

    /// The lines that the master's configuration lacks.
    #[must_use]
    pub fn missing_lines(&self) -> Vec<String> {
        self.prepared.salt.missing_lines(self.name.as_str())
    }
}
