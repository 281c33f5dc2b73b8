//! What a token says of itself.
//!
//! The strings come from foreign firmware and end up in terminals and logs, so control characters
//! never leave this file: a real TPM's model holds NUL bytes.

use std::fmt;

use cryptoki::slot::{Limit, Slot, TokenInfo as CryptokiInfo};
use cryptoki_sys::{CK_FLAGS, CK_TOKEN_INFO, CK_ULONG};
use hsm_config::TokenSelector;

/// A token in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Where it is at the moment; good for calls in this process, never for configuration.
    pub slot: Slot,
    /// Its label, without padding.
    pub label: String,
    /// Its serial number, without padding.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its firmware version.
    pub firmware: String,
    /// Whether `C_InitToken` has made a token of it.
    pub initialized: bool,
    /// Whether a user's PIN is set.
    pub pin_initialized: bool,
    /// Whether a PIN has to be presented before keys can be used.
    pub login_required: bool,
    /// Whether the PIN is entered on the device itself.
    pub protected_authentication_path: bool,
    /// Whether a wrong PIN was presented since the last right one.
    pub pin_count_low: bool,
    /// Whether one more wrong PIN locks it.
    pub pin_final_try: bool,
    /// Whether its PIN is locked.
    pub pin_locked: bool,
    /// Whether nothing can be written to it.
    pub write_protected: bool,
    /// How many sessions it allows; none means no limit, or no word about it.
    pub max_sessions: Option<u64>,
}

impl TokenInfo {
    /// Whether everything that the selector names is so.
    #[must_use]
    pub fn matches(&self, selector: &TokenSelector) -> bool {
        let same = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        same(selector.label.as_deref(), &self.label)
            && same(selector.serial.as_deref(), &self.serial)
    }

    pub(super) fn from_raw(slot: Slot, info: &CK_TOKEN_INFO) -> Self {
        let has = |flag: CK_FLAGS| info.flags & flag != 0;
        Self {
            slot,
            label: clean(&info.label),
            serial: clean(&info.serialNumber),
            manufacturer: clean(&info.manufacturerID),
            model: clean(&info.model),
            firmware: format!(
                "{}.{}",
                info.firmwareVersion.major, info.firmwareVersion.minor
            ),
            initialized: has(cryptoki_sys::CKF_TOKEN_INITIALIZED),
            pin_initialized: has(cryptoki_sys::CKF_USER_PIN_INITIALIZED),
            login_required: has(cryptoki_sys::CKF_LOGIN_REQUIRED),
            protected_authentication_path: has(cryptoki_sys::CKF_PROTECTED_AUTHENTICATION_PATH),
            pin_count_low: has(cryptoki_sys::CKF_USER_PIN_COUNT_LOW),
            pin_final_try: has(cryptoki_sys::CKF_USER_PIN_FINAL_TRY),
            pin_locked: has(cryptoki_sys::CKF_USER_PIN_LOCKED),
            write_protected: has(cryptoki_sys::CKF_WRITE_PROTECTED),
            max_sessions: limit(info.ulMaxSessionCount),
        }
    }

    pub(super) fn from_cryptoki(slot: Slot, info: &CryptokiInfo) -> Self {
        Self {
            slot,
            label: clean(info.label().as_bytes()),
            serial: clean(info.serial_number().as_bytes()),
            manufacturer: clean(info.manufacturer_id().as_bytes()),
            model: clean(info.model().as_bytes()),
            firmware: info.firmware_version().to_string(),
            initialized: info.token_initialized(),
            pin_initialized: info.user_pin_initialized(),
            login_required: info.login_required(),
            protected_authentication_path: info.protected_authentication_path(),
            pin_count_low: info.user_pin_count_low(),
            pin_final_try: info.user_pin_final_try(),
            pin_locked: info.user_pin_locked(),
            write_protected: info.write_protected(),
            max_sessions: match info.max_session_count() {
                Limit::Max(count) => Some(count),
                Limit::Unavailable | Limit::Infinite => None,
            },
        }
    }
}

impl fmt::Display for TokenInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.initialized {
            write!(f, "{:?} (serial {:?})", self.label, self.serial)
        } else {
            write!(f, "an uninitialised token (serial {:?})", self.serial)
        }
    }
}

/// Text from a token: padding taken off, control characters taken out.
#[must_use]
pub fn clean(field: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(field)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    text.trim_end().to_owned()
}

fn limit(count: CK_ULONG) -> Option<u64> {
    let unbounded = [
        cryptoki_sys::CK_EFFECTIVELY_INFINITE,
        cryptoki_sys::CK_UNAVAILABLE_INFORMATION,
    ];
    (!unbounded.contains(&count)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(clean(b"SW   TPM\0\0\0\0\0\0\0\0"), "SW   TPM");
        assert_eq!(clean(b"\x1b[31mred      "), "[31mred");
        assert_eq!(clean("caf\u{e9}\u{9b}2J  ".as_bytes()), "caf\u{e9}2J");
    }

    #[test]
    fn a_clock_that_is_no_clock_does_not_hide_a_token() {
        let mut raw = CK_TOKEN_INFO {
            flags: cryptoki_sys::CKF_CLOCK_ON_TOKEN | cryptoki_sys::CKF_USER_PIN_COUNT_LOW,
            utcTime: [0; 16],
            label: [b' '; 32],
            ..CK_TOKEN_INFO::default()
        };
        raw.label[..4].copy_from_slice(b"salt");
        let info = TokenInfo::from_raw(Slot::try_from(7_u64).unwrap(), &raw);
        assert_eq!(info.label, "salt");
        assert!(info.pin_count_low && !info.pin_final_try && !info.initialized);
        assert_eq!(info.max_sessions, None);
    }

    #[test]
    fn a_selector_matches_only_if_all_that_it_names_does() {
        let mut raw = CK_TOKEN_INFO::default();
        raw.label[..4].copy_from_slice(b"salt");
        raw.serialNumber[..2].copy_from_slice(b"42");
        let info = TokenInfo::from_raw(Slot::try_from(0_u64).unwrap(), &raw);
        let selector = |serial: Option<&str>, label: Option<&str>| {
            TokenSelector::new(serial.map(str::to_owned), label.map(str::to_owned)).unwrap()
        };
        assert!(info.matches(&selector(Some("42"), None)));
        assert!(info.matches(&selector(Some("42"), Some("salt"))));
        assert!(!info.matches(&selector(Some("43"), Some("salt"))));
        assert!(!info.matches(&selector(Some("4"), None)));
    }
}
