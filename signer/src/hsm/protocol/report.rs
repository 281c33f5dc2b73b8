//! What a worker tells the service.

use minion::verify::{Algorithm, Signature};

use super::fields::{Malformed, Reader, algorithm, code, put};
use super::frame::{FrameError, append};

/// One message from a worker to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The last word: the worker ends, and every call it holds is unanswered.
    Ending {
        /// What kind of trouble.
        cause: Cause,
        /// What happened, for a person.
        detail: String,
    },
    /// The token took the PIN; the self-test comes next.
    LoggedIn,
    /// Logged in and tested.
    Ready(WorkerReady),
    /// This call is against the rules; it never reached the token.
    Refused {
        /// Which rule.
        reason: String,
    },
    /// The token answered this call with an error that another attempt would not change.
    Rejected {
        /// The function and its code.
        reason: String,
    },
    /// The answer to a call or a probe.
    Signature(Signature),
    /// The token was found; the worker waits for the PIN.
    Token(TokenReport),
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The token refused the PIN, or may have: never log in with it again.
    Pin,
    /// Anything that a fresh process may cure.
    Token,
}

/// The token as it is before the login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenReport {
    /// Its serial number.
    pub serial: String,
    /// Its label.
    pub label: String,
    /// `CKF_USER_PIN_COUNT_LOW`: a wrong PIN was presented since the last right one.
    pub pin_count_low: bool,
    /// `CKF_USER_PIN_FINAL_TRY`: one more wrong PIN locks the token.
    pub pin_final_try: bool,
    /// `CKF_USER_PIN_LOCKED`.
    pub pin_locked: bool,
}

/// The worker after its self-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReady {
    /// The canonical PEM of the signing key's public half.
    pub public_key: String,
    /// How many sessions sign at the same time.
    pub sessions: u16,
    /// What the token says about how the key came to be, for a person.
    pub verdict: String,
    /// A signature over the key's own public half for each algorithm that the token can make.
    pub trials: Vec<Trial>,
}

/// A signature of the self-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// How it was made.
    pub algorithm: Algorithm,
    /// The signature over the signing key's own public half.
    pub signature: Signature,
}

impl Report {
    /// Appends the report as a frame.
    ///
    /// # Errors
    ///
    /// Fails if it is longer than a frame may be.
    pub fn append(&self, id: u32, out: &mut Vec<u8>) -> Result<(), FrameError> {
        append(id, out, |out| match self {
            Self::Ending { cause, detail } => {
                let cause = match cause {
                    Cause::Pin => 1,
                    Cause::Token => 2,
                };
                out.extend_from_slice(&[ENDING, cause]);
                put(out, detail.as_bytes());
            }
            Self::LoggedIn => out.push(LOGGED_IN),
            Self::Ready(ready) => ready.write(out),
            Self::Refused { reason } => {
                out.push(REFUSED);
                put(out, reason.as_bytes());
            }
            Self::Rejected { reason } => {
                out.push(REJECTED);
                put(out, reason.as_bytes());
            }
            Self::Signature(signature) => {
                out.push(SIGNATURE);
                put(out, signature.as_bytes());
            }
            Self::Token(token) => token.write(out),
        })
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    ///
    /// Fails on anything that [`append`](Self::append) does not write.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let report = match reader.byte()? {
            ENDING => Self::Ending {
                cause: match reader.byte()? {
                    1 => Cause::Pin,
                    2 => Cause::Token,
                    _ => return Err(Malformed),
                },
                detail: reader.text()?.to_owned(),
            },
            LOGGED_IN => Self::LoggedIn,
            READY => Self::Ready(WorkerReady::read(&mut reader)?),
            REFUSED => Self::Refused {
                reason: reader.text()?.to_owned(),
            },
            REJECTED => Self::Rejected {
                reason: reader.text()?.to_owned(),
            },
            SIGNATURE => Self::Signature(Signature::new(reader.bytes()?.to_vec())),
            TOKEN => Self::Token(TokenReport::read(&mut reader)?),
            _ => return Err(Malformed),
        };
        reader.end(report)
    }
}

impl TokenReport {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(TOKEN);
        put(out, self.serial.as_bytes());
        put(out, self.label.as_bytes());
        let flags = [self.pin_count_low, self.pin_final_try, self.pin_locked];
        out.extend(flags.map(u8::from));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            serial: reader.text()?.to_owned(),
            label: reader.text()?.to_owned(),
            pin_count_low: reader.flag()?,
            pin_final_try: reader.flag()?,
            pin_locked: reader.flag()?,
        })
    }
}

impl WorkerReady {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(READY);
        put(out, self.public_key.as_bytes());
        out.extend_from_slice(&self.sessions.to_be_bytes());
        put(out, self.verdict.as_bytes());
        for trial in &self.trials {
            out.push(code(trial.algorithm));
            put(out, trial.signature.as_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let public_key = reader.text()?.to_owned();
        let sessions = u16::from_be_bytes(reader.array()?);
        let verdict = reader.text()?.to_owned();
        let mut trials = Vec::new();
        while let Ok(byte) = reader.byte() {
            trials.push(Trial {
                algorithm: algorithm(byte)?,
                signature: Signature::new(reader.bytes()?.to_vec()),
            });
        }
        Ok(Self {
            public_key,
            sessions,
            verdict,
            trials,
        })
    }
}

const ENDING: u8 = 1;
const READY: u8 = 2;
const REFUSED: u8 = 3;
const REJECTED: u8 = 4;
const SIGNATURE: u8 = 5;
const TOKEN: u8 = 6;
const LOGGED_IN: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_report_survives_the_way() {
        for report in reports() {
            assert_eq!(Report::parse(&body(&report)), Ok(report));
        }
    }

    #[test]
    fn every_truncation_is_malformed_or_has_fewer_trials() {
        for report in reports() {
            let whole = body(&report);
            for cut in 0..whole.len() {
                match (&report, Report::parse(&whole[..cut])) {
                    (_, Err(Malformed)) => {}
                    (Report::Ready(sent), Ok(Report::Ready(read))) => {
                        assert!(read.trials.len() < sent.trials.len());
                    }
                    (_, Ok(other)) => panic!("{cut} bytes of {report:?} are {other:?}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_report_or_malformed(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Ok(report) = Report::parse(&bytes) {
                prop_assert_eq!(body(&report), bytes);
            }
        }
    }

    fn reports() -> Vec<Report> {
        let trial = |algorithm| Trial {
            algorithm,
            signature: Signature::new(vec![1; 256]),
        };
        let ending = |cause| Report::Ending {
            cause,
            detail: "why".to_owned(),
        };
        vec![
            ending(Cause::Pin),
            ending(Cause::Token),
            Report::LoggedIn,
            Report::Ready(WorkerReady {
                public_key: "a key".to_owned(),
                sessions: 300,
                verdict: "generated inside".to_owned(),
                trials: Algorithm::ALL.map(trial).to_vec(),
            }),
            Report::Refused {
                reason: "r".to_owned(),
            },
            Report::Rejected {
                reason: "r".to_owned(),
            },
            Report::Signature(Signature::new(vec![2; 512])),
            Report::Token(TokenReport {
                serial: "s".to_owned(),
                label: "l".to_owned(),
                pin_count_low: true,
                pin_final_try: false,
                pin_locked: true,
            }),
        ]
    }

    fn body(report: &Report) -> Vec<u8> {
        let mut out = Vec::new();
        report.append(1, &mut out).unwrap();
        out.get(8..).unwrap().to_vec()
    }
}
