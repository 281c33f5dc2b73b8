//! Which token holds the key.
//!
//! By serial number or by label, never by slot: SoftHSM2 derives a new slot number when a token is
//! initialised, and elsewhere the number depends on the order of the vendor's configuration. A
//! service that follows a slot number signs with whatever token happens to be there.

/// A token; what is given must all match, and exactly one token may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSelector {
    /// `serialNumber` of `CK_TOKEN_INFO`, without its padding.
    pub serial: Option<String>,
    /// `label` of `CK_TOKEN_INFO`, without its padding.
    pub label: Option<String>,
}

impl TokenSelector {
    /// Checks both against the sizes that PKCS#11 gives them.
    ///
    /// # Errors
    ///
    /// Fails if neither is given, or if one is what no token can have.
    pub fn new(serial: Option<String>, label: Option<String>) -> Result<Self, TokenSelectorError> {
        if serial.is_none() && label.is_none() {
            return Err(TokenSelectorError::Nothing);
        }
        if let Some(serial) = &serial {
            check("serial", serial, SERIAL_BYTES)?;
        }
        if let Some(label) = &label {
            check("label", label, LABEL_BYTES)?;
        }
        Ok(Self { serial, label })
    }
}

/// Why no token can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenSelectorError {
    /// Control characters.
    #[error("the token {what} holds a control character")]
    Control {
        /// `serial` or `label`.
        what: &'static str,
    },
    /// No character.
    #[error("the token {what} is empty")]
    Empty {
        /// `serial` or `label`.
        what: &'static str,
    },
    /// Neither serial nor label.
    #[error(
        "a token is named by its serial number, its label or both; `mastersign hsm list` prints \
         them"
    )]
    Nothing,
    /// Blanks at the end, which PKCS#11 cannot tell from padding.
    #[error("the token {what} ends with a blank, which PKCS#11 uses as padding; leave it out")]
    Padded {
        /// `serial` or `label`.
        what: &'static str,
    },
    /// More bytes than the field has.
    #[error("the token {what} is longer than the {limit} bytes that PKCS#11 gives it")]
    TooLong {
        /// `serial` or `label`.
        what: &'static str,
        /// The size of the field.
        limit: usize,
    },
}

fn check(what: &'static str, text: &str, limit: usize) -> Result<(), TokenSelectorError> {
    if text.is_empty() {
        Err(TokenSelectorError::Empty { what })
    } else if text.len() > limit {
        Err(TokenSelectorError::TooLong { what, limit })
    } else if text.chars().any(char::is_control) {
        Err(TokenSelectorError::Control { what })
    } else if text.ends_with(' ') {
        Err(TokenSelectorError::Padded { what })
    } else {
        Ok(())
    }
}

// PKCS#11 2.40, section 3.2, CK_TOKEN_INFO.
const LABEL_BYTES: usize = 32;
const SERIAL_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Result<TokenSelector, TokenSelectorError> {
        TokenSelector::new(None, Some(text.to_owned()))
    }

    #[test]
    fn one_of_serial_and_label_is_enough_and_none_is_refused() {
        assert!(TokenSelector::new(Some("0123456789abcdef".to_owned()), None).is_ok());
        assert!(label("NSS Certificate DB").is_ok());
        assert_eq!(
            TokenSelector::new(None, None),
            Err(TokenSelectorError::Nothing)
        );
    }

    #[test]
    fn what_no_token_can_have_is_refused() {
        let what = "label";
        assert_eq!(label(""), Err(TokenSelectorError::Empty { what }));
        assert_eq!(label("salt "), Err(TokenSelectorError::Padded { what }));
        assert_eq!(label("sa\0lt"), Err(TokenSelectorError::Control { what }));
        assert_eq!(
            label(&"x".repeat(33)),
            Err(TokenSelectorError::TooLong { what, limit: 32 })
        );
    }
}
