//! PKCS#11 URIs (RFC 7512), as operators paste them from `pkcs11-tool`, `p11tool` or `mastersign
//! hsm list`.
//!
//! Read strictly and by our own hands: an attribute that is not understood narrows the search in
//! the mind of whoever wrote it, so ignoring it may find another key. A `pin-value` is refused
//! because URIs end in logs and process lists.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::suggest::nearest;
use crate::{KeyId, KeyIdError};

/// A checked PKCS#11 URI.
///
/// `manufacturer`, `model` and the `library-` and `slot-` descriptions are read, because tools
/// print them, and not compared: serial, label and id decide, and exactly one token and one key may
/// match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `serial`: the token's serial number.
    pub serial: Option<String>,
    /// `manufacturer` of the token.
    pub manufacturer: Option<String>,
    /// `model` of the token.
    pub model: Option<String>,
    /// `object`: the key's label.
    pub object: Option<String>,
    /// `id`: the key's `CKA_ID`.
    pub id: Option<KeyId>,
    /// `module-path`: the module's shared object.
    pub module_path: Option<PathBuf>,
    /// `module-name`: the name under which p11-kit knows the module.
    pub module_name: Option<String>,
    /// The path in `pin-source=file:…`.
    pub pin_file: Option<PathBuf>,
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            Some(_) | None => return Err(UriError::Scheme),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut uri = Self::default();
        let mut seen = Vec::new();
        for attribute in path.split(';').filter(|_| !path.is_empty()) {
            let (name, value) = split(attribute, &mut seen)?;
            uri.set_path_attribute(name, &decode(name, value, PATH_RESERVED)?)?;
        }
        for attribute in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = split(attribute, &mut seen)?;
            if name == "pin-value" {
                return Err(UriError::PinValue);
            }
            uri.set_query_attribute(name, &decode(name, value, QUERY_RESERVED)?)?;
        }
        Ok(uri)
    }
}

impl Uri {
    fn set_path_attribute(&mut self, name: &str, value: &[u8]) -> Result<(), UriError> {
        let text = |name: &str| text(name, value);
        match name {
            "token" => self.token = Some(text(name)?),
            "serial" => self.serial = Some(text(name)?),
            "manufacturer" => self.manufacturer = Some(text(name)?),
            "model" => self.model = Some(text(name)?),
            "object" => self.object = Some(text(name)?),
            "id" => self.id = Some(KeyId::new(value).map_err(UriError::Id)?),
            "type" if value == b"private" => {}
            "type" => return Err(UriError::Type),
            "slot-id" => return Err(UriError::SlotId),
            described if DESCRIPTIONS.contains(&described) => {}
            "pin-value" => return Err(UriError::PinValue),
            query if QUERY.contains(&query) => {
                return Err(UriError::Misplaced {
                    name: name.to_owned(),
                });
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    fn set_query_attribute(&mut self, name: &str, value: &[u8]) -> Result<(), UriError> {
        let text = |name: &str| text(name, value);
        match name {
            "module-name" => self.module_name = Some(text(name)?),
            "module-path" => self.module_path = Some(text(name)?.into()),
            "pin-source" => {
                let source = text(name)?;
                let path = source.strip_prefix("file:").ok_or(UriError::PinSource)?;
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    return Err(UriError::PinSource);
                }
                self.pin_file = Some(path.into());
            }
            path if PATH.contains(&path) => {
                return Err(UriError::Misplaced {
                    name: name.to_owned(),
                });
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

impl fmt::Display for Uri {
    /// Writes the attributes in one order, so that equal URIs are equal texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            token,
            serial,
            manufacturer,
            model,
            object,
            id,
            module_path,
            module_name,
            pin_file,
        } = self;
        f.write_str(SCHEME)?;
        let mut separator = "";
        for (name, value) in [
            ("model", model),
            ("manufacturer", manufacturer),
            ("serial", serial),
            ("token", token),
        ] {
            if let Some(value) = value {
                write!(f, "{separator}{name}={}", Encoded(value.as_bytes(), b""))?;
                separator = ";";
            }
        }
        if let Some(id) = id {
            write!(f, "{separator}id=")?;
            id.as_bytes()
                .iter()
                .try_for_each(|byte| write!(f, "%{byte:02x}"))?;
            separator = ";";
        }
        if let Some(object) = object {
            write!(f, "{separator}object={}", Encoded(object.as_bytes(), b""))?;
            separator = ";";
        }
        if id.is_some() || object.is_some() {
            write!(f, "{separator}type=private")?;
        }
        let path_bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
        let query = [
            ("module-path=", module_path.as_ref().map(path_bytes)),
            (
                "module-name=",
                module_name.as_ref().map(|name| name.clone().into_bytes()),
            ),
            ("pin-source=file:", pin_file.as_ref().map(path_bytes)),
        ];
        let mut separator = "?";
        for (name, value) in query {
            if let Some(value) = value {
                write!(f, "{separator}{name}{}", Encoded(&value, b"/"))?;
                separator = "&";
            }
        }
        Ok(())
    }
}

/// Why a text is refused as a URI; no variant holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// A character that has to be written as %XX, or a % without two digits.
    #[error(
        "the value of `{name}` holds a character that must be written as %XX (a blank is %20), or \
         a % without two digits"
    )]
    Encoding {
        /// The attribute.
        name: String,
    },
    /// An `id` that is none.
    #[error("`id`: {0}")]
    Id(KeyIdError),
    /// An attribute on the wrong side of the question mark.
    #[error(
        "`{name}` stands on the wrong side of the `?`: what to find comes before it, module and \
         PIN source after it"
    )]
    Misplaced {
        /// The attribute.
        name: String,
    },
    /// Something that is not `name=value`.
    #[error(
        "each attribute is written name=value; before the ? they are separated by ; and after it \
         by &"
    )]
    NoValue,
    /// Bytes that are no UTF-8, or control characters.
    #[error("the value of `{name}` is not printable text")]
    NotText {
        /// The attribute.
        name: String,
    },
    /// A PIN source that is not a file.
    #[error(
        "`pin-source` must be file:/absolute/path; for a command, credential or prompt use the key \
         `pin`"
    )]
    PinSource,
    /// The PIN itself.
    #[error(
        "`pin-value` is refused: URIs are shown in logs and process lists, and this one is in a \
         file; take it out, change that PIN, and use the key `pin`"
    )]
    PinValue,
    /// An attribute that occurs twice.
    #[error("`{name}` occurs twice")]
    Repeated {
        /// The attribute.
        name: String,
    },
    /// Another kind of URI.
    #[error("a PKCS#11 URI begins with pkcs11:")]
    Scheme,
    /// A slot number.
    #[error(
        "`slot-id` is refused: slot numbers change, SoftHSM2 even derives a new one when a token \
         is initialised; name the token by `serial` or `token`"
    )]
    SlotId,
    /// A certificate, a public key or another object.
    #[error("a signing key is `type=private`")]
    Type,
    /// An attribute that RFC 7512 does not have, or that nothing here understands.
    #[error(
        "unknown attribute `{name}`{}",
        .nearest.map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
    )]
    Unknown {
        /// What was written.
        name: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
}

/// Bytes, with all but the unreserved characters and `keep` written as %XX.
struct Encoded<'a>(&'a [u8], &'static [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if is_unreserved(byte) || self.1.contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

fn split<'a>(attribute: &'a str, seen: &mut Vec<&'a str>) -> Result<(&'a str, &'a str), UriError> {
    let (name, value) = attribute.split_once('=').ok_or(UriError::NoValue)?;
    if seen.contains(&name) {
        return Err(UriError::Repeated {
            name: name.to_owned(),
        });
    }
    seen.push(name);
    Ok((name, value))
}

fn decode(name: &str, value: &str, reserved: &[u8]) -> Result<Vec<u8>, UriError> {
    let malformed = || UriError::Encoding {
        name: name.to_owned(),
    };
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or_else(malformed)
    };
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            decoded.push((high << 4) | low);
        } else if is_unreserved(byte) || reserved.contains(&byte) {
            decoded.push(byte);
        } else {
            return Err(malformed());
        }
    }
    Ok(decoded)
}

fn text(name: &str, value: &[u8]) -> Result<String, UriError> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
        .map(str::to_owned)
        .ok_or_else(|| UriError::NotText {
            name: name.to_owned(),
        })
}

fn unknown(name: &str) -> UriError {
    let known: Vec<&'static str> = PATH.iter().chain(QUERY).copied().collect();
    UriError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, &known),
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const SCHEME: &str = "pkcs11:";
// RFC 7512, section 2.3: pk11-path-res-avail and pk11-qres-avail.
const PATH_RESERVED: &[u8] = b":[]@!$'()*+,=&";
const QUERY_RESERVED: &[u8] = b":[]@!$'()*+,=/?|";
const DESCRIPTIONS: &[&str] = &[
    "library-description",
    "library-manufacturer",
    "library-version",
    "slot-description",
    "slot-manufacturer",
];
const PATH: &[&str] = &[
    "id",
    "library-description",
    "library-manufacturer",
    "library-version",
    "manufacturer",
    "model",
    "object",
    "serial",
    "slot-description",
    "slot-manufacturer",
    "token",
    "type",
];
const QUERY: &[&str] = &["module-name", "module-path", "pin-source"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Uri, UriError> {
        text.parse()
    }

    #[test]
    fn what_p11tool_prints_is_read() {
        let uri = parse(
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=c0ff;token=salt%20lab;\
             id=%A0%08;object=master_sign;type=private",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("salt lab"));
        assert_eq!(uri.serial.as_deref(), Some("c0ff"));
        assert_eq!(uri.id, Some(KeyId::new([0xa0, 8]).unwrap()));
        assert_eq!(uri.object.as_deref(), Some("master_sign"));
    }

    #[test]
    fn module_and_pin_file_stand_in_the_query() {
        let uri =
            parse("pkcs11:token=a?module-path=/usr/lib/m.so&pin-source=file:///run/pin").unwrap();
        assert_eq!(uri.module_path, Some("/usr/lib/m.so".into()));
        assert_eq!(uri.pin_file, Some("/run/pin".into()));
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=a?module-path=/usr/lib/m.so&pin-source=file:/run/pin"
        );
    }

    #[test]
    fn a_pin_is_refused_without_being_repeated() {
        for text in [
            "pkcs11:token=a?pin-value=hunter2",
            "pkcs11:token=a;pin-value=hunter2",
            "pkcs11:token=a?pin-value=hunter2%zz",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, UriError::PinValue);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn each_mistake_has_its_name() {
        for (text, error) in [
            ("token=a", UriError::Scheme),
            ("", UriError::Scheme),
            ("pkcs11:slot-id=1", UriError::SlotId),
            ("pkcs11:type=cert", UriError::Type),
            ("pkcs11:token", UriError::NoValue),
            ("pkcs11:token=a;", UriError::NoValue),
            ("pkcs11:token=a?", UriError::NoValue),
            ("pkcs11:id=", UriError::Id(KeyIdError::Empty)),
            ("pkcs11:?pin-source=|cat", UriError::PinSource),
            ("pkcs11:?pin-source=file:pin", UriError::PinSource),
            ("pkcs11:?pin-source=file://host/pin", UriError::PinSource),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_mistake_in_one_attribute_names_it() {
        let name = || "token".to_owned();
        for (text, error) in [
            (
                "pkcs11:token=a;token=b",
                UriError::Repeated { name: name() },
            ),
            ("pkcs11:token=a b", UriError::Encoding { name: name() }),
            ("pkcs11:token=%4", UriError::Encoding { name: name() }),
            ("pkcs11:token=%zz", UriError::Encoding { name: name() }),
            ("pkcs11:token=%ff", UriError::NotText { name: name() }),
            ("pkcs11:token=a%00", UriError::NotText { name: name() }),
            ("pkcs11:?token=a", UriError::Misplaced { name: name() }),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_unknown_attribute_is_refused_with_the_nearest_known_one() {
        for (name, nearest) in [("tokn", Some("token")), ("x-vendor-key", None)] {
            let error = UriError::Unknown {
                name: name.to_owned(),
                nearest,
            };
            assert_eq!(parse(&format!("pkcs11:{name}=a")), Err(error.clone()));
            assert_eq!(parse(&format!("pkcs11:?{name}=a")), Err(error));
        }
    }

    fn printable() -> impl Strategy<Value = String> {
        "\\PC{0,40}".prop_map(|text| text.chars().filter(|c| !c.is_control()).collect())
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        printable().prop_map(|text| PathBuf::from(format!("/a{text}")))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (token, serial, manufacturer, model) in (
                proptest::option::of(printable()), proptest::option::of(printable()),
                proptest::option::of(printable()), proptest::option::of(printable()),
            ),
            object in proptest::option::of(printable()),
            id in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..40)),
            module_path in proptest::option::of(path()),
            module_name in proptest::option::of(printable()),
            pin_file in proptest::option::of(path()),
        ) {
            let id = id.map(|bytes| KeyId::new(bytes).unwrap());
            let uri = Uri {
                token, serial, manufacturer, model, object, id, module_path, module_name, pin_file,
            };
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(pkcs11:)?[a-z%;?&=0-9é\\-]{0,80}") {
            if let Ok(uri) = parse(&text) {
                prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
            }
        }
    }
}
