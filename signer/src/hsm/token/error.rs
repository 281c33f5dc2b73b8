//! What a token or its module answered instead of success, and what to do about it.
//!
//! Return codes are sorted into few classes, because the service has few remedies. The code alone
//! does not tell the cause (a logout, a deleted key and a vanished token all look alike on some
//! modules), so a class names the cheapest remedy that covers its codes, and an unknown code
//! belongs to the class with the strongest one.

use std::fmt;
use std::path::PathBuf;

use cryptoki::context::Function;
use cryptoki::error::{Error as CryptokiError, RvError};
use hsm_config::KeyId;
use minion::verify::{Algorithm, KeyHash};

/// Why something on a token failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More than one key answers to the selector.
    #[error(
        "{} keys on the token answer to {wanted}, and exactly one must: {}",
        .found.len(),
        .found.join("; ")
    )]
    AmbiguousKey {
        /// The selector.
        wanted: String,
        /// One line for each.
        found: Vec<String>,
    },
    /// More than one token answers to the selector; the serial number tells them apart.
    #[error(
        "{} tokens answer to {wanted}, and exactly one must: {}",
        .found.len(),
        .found.join("; ")
    )]
    AmbiguousToken {
        /// The selector.
        wanted: String,
        /// One line for each.
        found: Vec<String>,
    },
    /// A key that was not made whole, and of which a half may stay on the token.
    #[error(
        "what may be there of the key could NOT be removed: delete everything with the id {id} with \
         the vendor's tool"
    )]
    LeftBehind {
        /// Its `CKA_ID`.
        id: KeyId,
        /// Why it was not made.
        source: Box<Self>,
    },
    /// A function of the module did not answer `CKR_OK`.
    #[error("{} answered {}", function_name(*.function), code_name(*.rv))]
    Call {
        /// The function.
        function: Function,
        /// What it answered.
        rv: RvError,
    },
    /// The module's answer makes no sense to cryptoki.
    #[error("the module gave an answer that cannot be understood")]
    Garbled {
        /// What cryptoki said.
        #[source]
        source: CryptokiError,
    },
    /// The public key of the token is not the one that the configuration pins.
    #[error(
        "the key on the token is not the pinned one: the token's is {found}, {} holds {pinned}",
        .path.display()
    )]
    KeyDiffers {
        /// The file with the pinned key.
        path: PathBuf,
        /// Its hash.
        pinned: KeyHash,
        /// The hash of the token's.
        found: KeyHash,
    },
    /// An id or label that the new key should get is in use.
    #[error("the token already has {wanted}: {}", .found.join("; "))]
    KeyExists {
        /// What was to be made.
        wanted: String,
        /// What is there, one line each.
        found: Vec<String>,
    },
    /// The key's attributes rule it out.
    #[error("the key must not be used: {}", .why.join("; "))]
    KeyUnfit {
        /// Each reason.
        why: Vec<String>,
    },
    /// The two halves of the pair on the token do not belong together, or the modulus cannot be
    /// read at all.
    #[error("the public half of key {key} cannot be used: {why}")]
    KeyUnreadable {
        /// Which key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The shared object cannot be loaded, or is no PKCS#11 module.
    #[error("failed to load the PKCS#11 module {}", .path.display())]
    Load {
        /// Its path.
        path: PathBuf,
        /// What the loader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No key answers to the selector.
    #[error(
        "no private RSA key on the token answers to {wanted}; {}",
        listing("the token has", .found)
    )]
    NoSuchKey {
        /// The selector.
        wanted: String,
        /// The keys that there are, one line each.
        found: Vec<String>,
    },
    /// No token answers to the selector.
    #[error("no token answers to {wanted}; {}", listing("the module has", .found))]
    NoSuchToken {
        /// The selector.
        wanted: String,
        /// The tokens that there are, one line each.
        found: Vec<String>,
    },
    /// The pinned public key cannot be read.
    #[error("failed to read the pinned public key {}", .path.display())]
    PinnedKey {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A signature failed in this session before, so it is not used again.
    #[error("the session has failed before and must be replaced")]
    Poisoned,
    /// What should become a token is one already, or the label is in use.
    #[error("there is already {}; nothing was changed", .found.join("; "))]
    TokenExists {
        /// What is there, one line each.
        found: Vec<String>,
    },
    /// The token signed, but the signature is not one by this key.
    #[error("the token returned a {algorithm} signature that its own public key does not verify")]
    WrongSignature {
        /// Under which algorithm.
        algorithm: Algorithm,
    },
}

impl Error {
    pub(super) const fn call(function: Function, rv: RvError) -> Self {
        Self::Call { function, rv }
    }

    /// The cheapest remedy that covers this error.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Call { rv, .. } => class_of(*rv),
            Self::Garbled { .. }
            | Self::Load { .. }
            | Self::NoSuchToken { .. }
            | Self::WrongSignature { .. } => Class::Token,
            Self::NoSuchKey { .. } => Class::Handle,
            Self::Poisoned => Class::Session,
            Self::AmbiguousKey { .. }
            | Self::AmbiguousToken { .. }
            | Self::KeyDiffers { .. }
            | Self::KeyExists { .. }
            | Self::KeyUnfit { .. }
            | Self::KeyUnreadable { .. }
            | Self::LeftBehind { .. }
            | Self::PinnedKey { .. }
            | Self::TokenExists { .. } => Class::Setup,
        }
    }

    /// Whether the call did not get as far as the token, so that a PIN in it was not judged.
    ///
    /// A short list: what is not on it may be the way in which some module says that the PIN is
    /// wrong. `CKR_DEVICE_ERROR` is on it because it is how the client of a network HSM says that
    /// the device is out of reach, and an outage must not need an operator to end.
    #[must_use]
    pub const fn is_transport(&self) -> bool {
        matches!(
            self.rv(),
            Some(
                RvError::CryptokiNotInitialized
                    | RvError::DeviceError
                    | RvError::DeviceMemory
                    | RvError::DeviceRemoved
                    | RvError::HostMemory
                    | RvError::SessionClosed
                    | RvError::SessionCount
                    | RvError::SessionHandleInvalid
                    | RvError::SlotIdInvalid
                    | RvError::TokenNotPresent
                    | RvError::TokenNotRecognized
            )
        )
    }

    /// The function that failed, like `C_Sign`; empty if the error is not a function's.
    #[must_use]
    pub fn function(&self) -> String {
        match self {
            Self::Call { function, .. } => function_name(*function),
            _ => String::new(),
        }
    }

    /// The return code, like `CKR_DEVICE_ERROR`; empty if the error is not a function's.
    #[must_use]
    pub fn code(&self) -> String {
        self.rv().map_or_else(String::new, code_name)
    }

    pub(super) const fn rv(&self) -> Option<RvError> {
        match self {
            Self::Call { rv, .. } => Some(*rv),
            _ => None,
        }
    }
}

impl From<CryptokiError> for Error {
    fn from(source: CryptokiError) -> Self {
        match source {
            CryptokiError::Pkcs11(rv, function) => Self::call(function, rv),
            source => Self::Garbled { source },
        }
    }
}

/// What helps against an error; of the first four, each is more work than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A fresh session, then one retry.
    Session,
    /// A login, then find the key again, then one retry.
    Login,
    /// Find the key again, then one retry.
    Handle,
    /// Begin again with a fresh process.
    Token,
    /// Nothing: the sessions that there are must do.
    Capacity,
    /// Nothing: this token cannot do this request.
    Caller,
    /// An operator with the right PIN; never a retry, because tokens lock after a few.
    Pin,
    /// An operator: what is configured and what is on the token do not fit.
    Setup,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "session",
            Self::Login => "login",
            Self::Handle => "handle",
            Self::Token => "token",
            Self::Capacity => "capacity",
            Self::Caller => "caller",
            Self::Pin => "pin",
            Self::Setup => "setup",
        })
    }
}

const fn class_of(rv: RvError) -> Class {
    match rv {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::BufferTooSmall => Class::Session,
        RvError::UserNotLoggedIn => Class::Login,
        RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::KeyTypeInconsistent
        | RvError::KeyFunctionNotPermitted => Class::Handle,
        RvError::SessionCount => Class::Capacity,
        RvError::ActionProhibited
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::KeySizeRange
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid => Class::Caller,
        RvError::PinExpired
        | RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinLocked
        | RvError::PinTooWeak
        | RvError::UserPinNotInitialized => Class::Pin,
        _ => Class::Token,
    }
}

/// `C_SignInit` for `SignInit`.
fn function_name(function: Function) -> String {
    format!("C_{function:?}")
}

/// `CKR_PIN_INCORRECT` for `PinIncorrect`: cryptoki's names are the header's in another spelling.
fn code_name(rv: RvError) -> String {
    match rv {
        RvError::VendorDefined(code) => format!("the vendor's code 0x{code:08X}"),
        RvError::UnknownErrorCode(code) => format!("the unknown code 0x{code:08X}"),
        named => {
            let mut name = "CKR".to_owned();
            for c in format!("{named:?}").chars() {
                if c.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(c.to_ascii_uppercase());
            }
            name
        }
    }
}

fn listing(lead: &str, found: &[String]) -> String {
    if found.is_empty() {
        format!("{lead} none")
    } else {
        format!("{lead} {}", found.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::error::Rv;

    use super::*;

    #[test]
    fn codes_are_named_as_in_the_header() {
        for (rv, name) in [
            (cryptoki_sys::CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT"),
            (cryptoki_sys::CKR_RANDOM_NO_RNG, "CKR_RANDOM_NO_RNG"),
            (
                cryptoki_sys::CKR_SESSION_READ_WRITE_SO_EXISTS,
                "CKR_SESSION_READ_WRITE_SO_EXISTS",
            ),
            (0x8000_0001, "the vendor's code 0x80000001"),
        ] {
            let Rv::Error(rv) = Rv::from(rv) else {
                panic!("{name} is an error");
            };
            let error = Error::call(Function::Sign, rv);
            assert_eq!(error.code(), name);
            assert_eq!(error.to_string(), format!("C_Sign answered {name}"));
        }
    }

    #[test]
    fn a_pin_error_is_never_one_that_is_tried_again() {
        for rv in [
            RvError::PinIncorrect,
            RvError::PinLocked,
            RvError::PinExpired,
            RvError::PinInvalid,
        ] {
            assert_eq!(Error::call(Function::Login, rv).class(), Class::Pin);
        }
    }

    #[test]
    fn only_codes_that_cannot_mean_the_pin_are_the_transports() {
        let is_transport = |rv| Error::call(Function::Login, rv).is_transport();
        assert!(is_transport(RvError::DeviceRemoved));
        assert!(is_transport(RvError::DeviceError));
        for rv in [
            RvError::PinIncorrect,
            RvError::VendorDefined(0x8000_0001),
            RvError::UnknownErrorCode(0x7777),
            RvError::GeneralError,
            RvError::FunctionFailed,
        ] {
            assert!(!is_transport(rv), "{rv:?}");
        }
    }

    #[test]
    fn a_code_that_nobody_knows_calls_for_a_fresh_process() {
        for rv in [
            RvError::VendorDefined(0x8000_0000),
            RvError::UnknownErrorCode(0x7777),
            RvError::GeneralError,
        ] {
            assert_eq!(Error::call(Function::Sign, rv).class(), Class::Token);
        }
    }
}
