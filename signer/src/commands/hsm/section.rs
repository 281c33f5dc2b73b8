//! The `[[hsm]]` section for a key that was just made, ready to be pasted.

use std::path::Path;

use hsm_config::{PinSource, SignMechanism, Uri};
use toml::Value;

use super::target::Target;
use crate::hsm::token::Verdict;

/// Writes the section.
pub(super) fn section(
    target: &Target,
    token_label: &str,
    uri: &Uri,
    public_key: &Path,
    verdict: &Verdict,
) -> String {
    let name = target.name.clone().unwrap_or_else(|| name(token_label));
    let mut lines = vec!["[[hsm]]".to_owned(), setting("name", &name)];
    if let Some(profile) = &target.profile {
        lines.push(setting("profile", &profile.name));
    }
    lines.push(setting("uri", &uri.to_string()));
    lines.push(setting("public_key", &public_key.to_string_lossy()));
    lines.push(match &target.pin {
        PinSource::File { path } => {
            format!("pin = {{ {} }}", setting("file", &path.to_string_lossy()))
        }
        _ => format!(
            "pin = {{ {} }} # or file, fd, command",
            setting("credential", &format!("{name}-pin"))
        ),
    });
    if let Some(text) = &target.module.init_args {
        lines.push(setting("init_args", text));
    }
    if target.mechanism == SignMechanism::Hashed {
        lines.push(setting("sign_mechanism", "hashed"));
    }
    if let Verdict::NotProven { missing } = verdict {
        lines.push(format!(
            "{} # {}",
            setting("require_never_extractable", "warn"),
            missing.join(", ")
        ));
    }
    if !target.module.environment.is_empty() {
        lines.push("[hsm.environment]".to_owned());
        let variables = target.module.environment.iter();
        lines.extend(variables.map(|(name, value)| setting(name, value)));
    }
    lines.join("\n")
}

fn setting(key: &str, value: &str) -> String {
    format!("{key} = {}", Value::String(value.to_owned()))
}

/// A name for the section after the token's label, in the characters that a name may have.
fn name(label: &str) -> String {
    let plain: String = label
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        })
        .collect();
    let plain = plain.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if plain.is_empty() {
        "hsm-1".to_owned()
    } else {
        plain.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hsm_config::{Hsm, Module, RawHsm, Strictness};

    use super::*;

    #[derive(serde::Deserialize)]
    struct File {
        hsm: Vec<RawHsm>,
    }

    fn target(pin: PinSource) -> Target {
        let environment = BTreeMap::from([("CONF".to_owned(), "/a \"b\"\\c".to_owned())]);
        Target {
            name: None,
            module: Module::new("/usr/lib/m.so", Some("a='b'".to_owned()), environment).unwrap(),
            token: None,
            key_id: None,
            key_label: None,
            pin,
            public_key: None,
            mechanism: SignMechanism::Hashed,
            never_extractable: Strictness::Refuse,
            profile: None,
        }
    }

    fn read_back(pin: PinSource, verdict: &Verdict) -> Hsm {
        let uri: Uri = "pkcs11:serial=42;token=Rack%201;id=%a0%08;object=k;type=private?\
                        module-path=/usr/lib/m.so"
            .parse()
            .unwrap();
        let text = section(&target(pin), "Rack 1", &uri, Path::new("/p.pub"), verdict);
        let mut file: File = toml::from_str(&text).expect(&text);
        Hsm::try_from(file.hsm.remove(0)).expect(&text)
    }

    #[test]
    fn the_section_is_read_as_what_it_was_made_of() {
        let pin = PinSource::File {
            path: "/etc/pin".into(),
        };
        let hsm = read_back(pin.clone(), &Verdict::GeneratedInside);
        assert_eq!(hsm.name.as_str(), "rack-1");
        assert_eq!(hsm.module, target(pin.clone()).module);
        assert_eq!(hsm.token.label.as_deref(), Some("Rack 1"));
        assert_eq!(hsm.token.serial.as_deref(), Some("42"));
        assert_eq!(hsm.key.id.as_bytes(), [0xa0, 0x08]);
        assert_eq!(hsm.key.label.as_deref(), Some("k"));
        assert_eq!(hsm.public_key.as_deref(), Some(Path::new("/p.pub")));
        assert_eq!(hsm.pin, pin);
        assert_eq!(hsm.sign_mechanism, SignMechanism::Hashed);
        assert_eq!(hsm.never_extractable, Strictness::Refuse);
    }

    #[test]
    fn a_key_that_may_have_been_outside_gets_a_section_that_admits_it() {
        let missing = vec!["CKA_LOCAL is false".to_owned()];
        let hsm = read_back(PinSource::Prompt, &Verdict::NotProven { missing });
        assert_eq!(hsm.never_extractable, Strictness::Warn);
        let name = "rack-1-pin".to_owned();
        assert_eq!(hsm.pin, PinSource::Credential { name });
    }

    #[test]
    fn any_label_makes_a_name() {
        assert_eq!(name("NSS Certificate DB"), "nss-certificate-db");
        assert_eq!(name("\u{fc}"), "hsm-1");
    }
}
