//! The yardstick: `C_SignInit` and `C_Sign` in a loop, straight through the module's function list.
#![expect(
    unsafe_code,
    reason = "the yardstick has nothing between itself and PKCS#11"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_C_GetFunctionList, CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_MECHANISM,
    CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID,
};
use minion::verify::{Algorithm, PublicKey};
use softhsm_tests::token::Token;

/// The first argument that makes this program the loop.
pub(crate) const MODE: &str = "--plain-loop";

/// The process with the loop, as the benchmark sees it.
pub(crate) struct Loop {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// From loading the module to the login, with the sessions.
    login: Duration,
}

impl Loop {
    pub(crate) fn start(token: &Token, sessions: usize, keys: &[Arc<PublicKey>]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(MODE)
            .arg(token.module())
            .arg(token.pin())
            .arg(sessions.to_string())
            .envs(token.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut orders = child.stdin.take().context("no input")?;
        for key in keys {
            let input = Algorithm::Sha1.digest_info(key.canonical().as_bytes());
            writeln!(orders, "{}", hex::encode(input))?;
        }
        writeln!(orders)?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        let mut plain = Self {
            child,
            orders,
            answers,
            login: Duration::ZERO,
        };
        plain.login = plain.answer()?;
        Ok(plain)
    }

    /// How long the token takes from loading the module to the login, with the sessions.
    pub(crate) const fn login(&self) -> Duration {
        self.login
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Makes so many signatures, and tells how long that took.
    pub(crate) fn sign(&mut self, count: usize) -> Result<Duration> {
        writeln!(self.orders, "{count}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Duration> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let nanoseconds = answer.trim().parse().context("the plain loop has failed")?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what to sign, then counts; answers each count with the time that so many signatures took.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut argument = || arguments.next().context("too few arguments");
    let (module, pin, sessions) = (argument()?, argument()?, argument()?);
    let start = Instant::now();
    let (functions, sessions) = open(Path::new(&module), &pin, sessions.parse()?)?;
    println!("{}", start.elapsed().as_nanos());
    let mut lines = std::io::stdin().lock().lines();
    let mut inputs = Vec::new();
    for line in lines.by_ref() {
        match line? {
            line if line.is_empty() => break,
            line => inputs.push(hex::decode(line)?),
        }
    }
    for line in lines {
        let count: usize = line?.parse()?;
        let start = Instant::now();
        std::thread::scope(|scope| {
            #[expect(
                clippy::needless_collect,
                reason = "all of them start before one is awaited"
            )]
            let threads: Vec<_> = sessions
                .iter()
                .enumerate()
                .map(|(at, seat)| {
                    let share = count.saturating_add(at) / sessions.len();
                    let inputs = inputs.iter().cycle().skip(at).take(share);
                    scope.spawn(|| sign_all(&functions, *seat, inputs))
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
        })?;
        println!("{}", start.elapsed().as_nanos());
    }
    Ok(())
}

fn sign_all<'a>(
    functions: &CK_FUNCTION_LIST,
    (session, key): (CK_SESSION_HANDLE, CK_OBJECT_HANDLE),
    inputs: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<()> {
    let sign_init = functions.C_SignInit.context("no C_SignInit")?;
    let sign = functions.C_Sign.context("no C_Sign")?;
    let mut signature = [0; 512];
    for input in inputs {
        let mut mechanism = CK_MECHANISM {
            mechanism: cryptoki_sys::CKM_RSA_PKCS,
            ..CK_MECHANISM::default()
        };
        let mut length = signature.len().try_into()?;
        // SAFETY: the session is this thread's own, the mechanism has no parameter, and both
        // buffers are as long as said.
        unsafe {
            check(sign_init(session, &raw mut mechanism, key))?;
            check(sign(
                session,
                input.as_ptr().cast_mut(),
                input.len().try_into()?,
                signature.as_mut_ptr(),
                &raw mut length,
            ))?;
        }
    }
    Ok(())
}

/// Loads the module, logs in to its only initialised token and finds its only private key, in each
/// session.
fn open(
    module: &Path,
    pin: &str,
    sessions: usize,
) -> Result<(CK_FUNCTION_LIST, Vec<(CK_SESSION_HANDLE, CK_OBJECT_HANDLE)>)> {
    // SAFETY: a PKCS#11 module by its documented entry point; it stays loaded. Every pointer is to
    // a local that outlives the call.
    unsafe {
        let library = Box::leak(Box::new(libloading::Library::new(module)?));
        let symbol = library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList\0")?;
        let get_function_list = (*symbol).context("no C_GetFunctionList")?;
        let mut list = std::ptr::null_mut();
        check(get_function_list(&raw mut list))?;
        let functions = *list;
        let mut arguments = CK_C_INITIALIZE_ARGS {
            flags: cryptoki_sys::CKF_OS_LOCKING_OK,
            ..CK_C_INITIALIZE_ARGS::default()
        };
        check((functions.C_Initialize.context("no C_Initialize")?)(
            (&raw mut arguments).cast(),
        ))?;
        let slot = first_slot(&functions)?;
        let mut seats = Vec::new();
        for _ in 0..sessions {
            let mut session = 0;
            let open = functions.C_OpenSession.context("no C_OpenSession")?;
            let flags = cryptoki_sys::CKF_SERIAL_SESSION;
            check(open(
                slot,
                flags,
                std::ptr::null_mut(),
                None,
                &raw mut session,
            ))?;
            if seats.is_empty() {
                let login = functions.C_Login.context("no C_Login")?;
                let length = pin.len().try_into()?;
                check(login(
                    session,
                    cryptoki_sys::CKU_USER,
                    pin.as_ptr().cast_mut(),
                    length,
                ))?;
            }
            seats.push((session, private_key(&functions, session)?));
        }
        Ok((functions, seats))
    }
}

/// SoftHSM2 lists its initialised tokens before the empty slot.
fn first_slot(functions: &CK_FUNCTION_LIST) -> Result<CK_SLOT_ID> {
    let mut slots = [0; 16];
    let mut count = 16;
    let list = functions.C_GetSlotList.context("no C_GetSlotList")?;
    // SAFETY: the buffer has room for the count given.
    check(unsafe { list(cryptoki_sys::CK_TRUE, slots.as_mut_ptr(), &raw mut count) })?;
    ensure!(count > 0, "no token");
    slots.first().copied().context("no token")
}

fn private_key(
    functions: &CK_FUNCTION_LIST,
    session: CK_SESSION_HANDLE,
) -> Result<CK_OBJECT_HANDLE> {
    let mut class = cryptoki_sys::CKO_PRIVATE_KEY;
    let mut wanted = CK_ATTRIBUTE {
        type_: cryptoki_sys::CKA_CLASS,
        pValue: (&raw mut class).cast(),
        ulValueLen: size_of_val(&class).try_into()?,
    };
    let (mut key, mut count) = (0, 0);
    // SAFETY: the template has one attribute, and there is room for one handle.
    unsafe {
        check((functions
            .C_FindObjectsInit
            .context("no C_FindObjectsInit")?)(
            session,
            &raw mut wanted,
            1,
        ))?;
        check((functions.C_FindObjects.context("no C_FindObjects")?)(
            session,
            &raw mut key,
            1,
            &raw mut count,
        ))?;
        check((functions
            .C_FindObjectsFinal
            .context("no C_FindObjectsFinal")?)(session))?;
    }
    ensure!(count == 1, "no private key");
    Ok(key)
}

fn check(rv: CK_RV) -> Result<()> {
    ensure!(rv == cryptoki_sys::CKR_OK, "the module answered {rv:#x}");
    Ok(())
}
