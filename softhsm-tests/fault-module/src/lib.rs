//! A PKCS#11 module that forwards every call to a real one and writes each of them down; for tests
//! only.
//!
//! "Exactly one `C_Sign`" is a claim about what reached the token, so it is counted where a token
//! is reached: between the program and the real module, whatever process makes the call and however
//! that process ends. Counting inside the program would count what the program believes.
//!
//! # Layout
//!
//! - `forward`: the function list that the program gets; every entry is one line of a table
//! - `target`: the real module behind it
//! - `journal`: what was called, a line per call and per return, in a file that survives `kill -9`
//!
//! Every call passes [`State::pass`], on its way in and on its way out.
//!
//! `FAULT_MODULE_TARGET` names the real module, `FAULT_MODULE_COUNTS` the file of the journal.
//! `FAULT_MODULE_LOGIN` is `hang`, `abort` or a decimal return code, which `C_Login` does instead.
//! `FAULT_MODULE_SIGN_DELAY` is how many milliseconds each signature takes, one after the other in all
//! sessions, as on a device with one engine. `FAULT_MODULE_SIGN_WRONG` is how many signatures of a
//! process are right before each is wrong in its last bit, which the journal says of each.
//! `FAULT_MODULE_ATTRIBUTE_LENGTH` is how long each attribute is whose length is asked for.
//! `FAULT_MODULE_REFUSED` names functions that answer `CKR_FUNCTION_FAILED` and never reach the
//! token: `C_A,C_B#2`, the latter from its second call on. The environment is the only thing that a loaded module is handed by everyone alike.
#![expect(
    unsafe_code,
    reason = "a PKCS#11 module is C: exported functions, the caller's pointers, a library"
)]

mod forward;
mod journal;
mod target;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_RV, CK_ULONG, CKR_ARGUMENTS_BAD, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR,
    CKR_OK,
};

use journal::Journal;

/// The one symbol that a PKCS#11 module must export: hands out the list of all its functions.
///
/// Fails with `CKR_GENERAL_ERROR` and a line on standard error if the real module or the journal
/// cannot be opened.
///
/// # Safety
///
/// `list` is null or points to memory that may be written (PKCS#11 v2.40, section 5.4).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let Some(state) = State::get() else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: not null, and the caller promises that it may be written. What is written is a
    // pointer to a static; the standard types it as mutable, and no caller may write through it.
    unsafe { list.write((&raw const state.forwarding).cast_mut()) };
    CKR_OK
}

/// What the module holds from the first call to the end of the process.
struct State {
    /// What the program calls.
    forwarding: CK_FUNCTION_LIST,
    /// What is called for it.
    real: CK_FUNCTION_LIST,
    /// Where it is written down.
    journal: Journal,
    /// What happens to a login instead of reaching the token.
    login: Option<Fault>,
    /// What a signature takes; the lock is the device's one engine.
    signature: Option<Mutex<Duration>>,
    /// How many signatures may still be right.
    right: Option<AtomicUsize>,
    /// How long each attribute is said to be.
    attribute_length: Option<CK_ULONG>,
    /// The functions that do not work.
    refused: Vec<Refusal>,
}

/// What a call does instead of being forwarded.
#[derive(Clone, Copy)]
enum Fault {
    Abort,
    Answer(CK_RV),
    Hang,
}

impl Fault {
    fn read(name: &str) -> Result<Option<Self>, String> {
        let Some(text) = env::var_os(name) else {
            return Ok(None);
        };
        match text.to_str() {
            Some("abort") => Ok(Some(Self::Abort)),
            Some("hang") => Ok(Some(Self::Hang)),
            Some(code) => code
                .parse()
                .map(|code| Some(Self::Answer(code)))
                .map_err(|_| format!("{name} is neither abort, hang nor a return code")),
            None => Err(format!("{name} is no text")),
        }
    }
}

/// A function that does not work.
struct Refusal {
    function: String,
    /// How many of its calls may still work.
    right: AtomicUsize,
}

impl Refusal {
    fn read(name: &str) -> Result<Vec<Self>, String> {
        let Some(text) = env::var_os(name) else {
            return Ok(Vec::new());
        };
        let text = text.to_str().ok_or_else(|| format!("{name} is no text"))?;
        let one = |one: &str| {
            let (function, first) = one.split_once('#').unwrap_or((one, "1"));
            let first: usize = first
                .parse()
                .map_err(|_| format!("{one:?} in {name} has no number behind the #"))?;
            Ok(Self {
                function: function.to_owned(),
                right: AtomicUsize::new(first.saturating_sub(1)),
            })
        };
        text.split(',').map(one).collect()
    }

    fn meets(&self, event: &str) -> bool {
        self.function == event && !one_less(&self.right)
    }
}

/// Takes one away; false if there is none.
fn one_less(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

impl State {
    /// The state, made by whoever comes first; nothing if it could not be made.
    fn get() -> Option<&'static Self> {
        static STATE: OnceLock<Option<State>> = OnceLock::new();
        STATE
            .get_or_init(|| Self::open().inspect_err(|reason| complain(reason)).ok())
            .as_ref()
    }

    fn open() -> Result<Self, String> {
        let target = variable("FAULT_MODULE_TARGET")?;
        let counts = variable("FAULT_MODULE_COUNTS")?;
        Ok(Self {
            forwarding: forward::list(),
            real: target::load(Path::new(&target))?,
            journal: Journal::open(Path::new(&counts))?,
            login: Fault::read("FAULT_MODULE_LOGIN")?,
            signature: number("FAULT_MODULE_SIGN_DELAY")?
                .map(Duration::from_millis)
                .map(Mutex::new),
            right: number("FAULT_MODULE_SIGN_WRONG")?.map(AtomicUsize::new),
            attribute_length: number("FAULT_MODULE_ATTRIBUTE_LENGTH")?,
            refused: Refusal::read("FAULT_MODULE_REFUSED")?,
        })
    }

    /// One call: written down, made, and its result written down.
    fn pass(&self, event: &str, call: impl FnOnce(&CK_FUNCTION_LIST) -> CK_RV) -> CK_RV {
        self.journal.called(event);
        if let Some(engine) = &self.signature
            && event.starts_with("C_Sign ")
        {
            let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            work(*engine);
        }
        let answer = match self.login {
            Some(Fault::Answer(answer)) if event == "C_Login" => answer,
            Some(Fault::Abort) if event == "C_Login" => std::process::abort(),
            Some(Fault::Hang) if event == "C_Login" => hang(),
            _ if self.refused.iter().any(|one| one.meets(event)) => CKR_FUNCTION_FAILED,
            Some(_) | None => call(&self.real),
        };
        self.journal.returned(event, answer);
        answer
    }

    /// Whether the signature that was just made is one of those that are to be wrong.
    fn is_to_be_wrong(&self) -> bool {
        self.right.as_ref().is_some_and(|right| !one_less(right))
    }

    /// Says in the journal that a right result was made a wrong one.
    fn spoiled(&self, event: &str) {
        self.journal.spoiled(event);
    }
}

/// What a device does that does not answer; only the end of the process ends it.
#[expect(clippy::infinite_loop, reason = "the caller's type is CK_RV")]
fn hang() -> CK_RV {
    loop {
        std::thread::park();
    }
}

/// What a device does that is slow.
#[expect(
    clippy::disallowed_methods,
    reason = "the delay is the fault; nothing is waited for"
)]
fn work(duration: Duration) {
    std::thread::sleep(duration);
}

fn number<T: FromStr>(name: &str) -> Result<Option<T>, String> {
    let Some(text) = env::var_os(name) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| format!("{name} is no number"))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set"))
}

#[expect(
    clippy::print_stderr,
    reason = "the return value can't say which file was missing"
)]
fn complain(reason: &str) {
    eprintln!("fault-module: {reason}");
}
