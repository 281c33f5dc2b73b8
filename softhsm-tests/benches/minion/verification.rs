//! One verification of a master's key: ours, OpenSSL's EVP, and what a stock minion calls.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::{Signer, Verifier};
use softhsm_tests::measure::Spread;
use softhsm_tests::salt::Version;

use crate::figure::{Bound, Figures};
use crate::usage::thread_cpu;

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    println!("Verifying the signature of a master's key, RSA-2048, CPU of one thread");
    for (algorithm, digest) in [
        (Algorithm::Sha1, MessageDigest::sha1()),
        (Algorithm::Sha224, MessageDigest::sha224()),
    ] {
        let signing = PKey::from_rsa(Rsa::generate(2048)?)?;
        let trusted = PublicKey::decode(&String::from_utf8(signing.public_key_to_pem()?)?)?;
        let master = Rsa::generate(2048)?.public_key_to_pem()?;
        let master = PublicKey::decode(&String::from_utf8(master)?)?;
        let message = master.canonical().as_bytes();
        let bytes = Signer::new(digest, &signing)?.sign_oneshot_to_vec(message)?;
        let signature = Signature::new(bytes.clone());
        let evp = PKey::public_key_from_pem(trusted.canonical().as_bytes())?;
        let call = (&trusted, algorithm, message, bytes.as_slice());
        let mut python = Python::start(CRYPTOGRAPHY, call)?;
        let mut salt = Python::start(SALT, call)?;

        let (mut to_evp, mut to_python, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let mut to_salt = Vec::new();
        for round in 0..=ROUNDS {
            let ours = each(|| Ok(trusted.verify(algorithm, &master, &signature)?))?;
            let theirs = each(|| {
                let good = Verifier::new(digest, &evp)?.verify_oneshot(&bytes, message)?;
                anyhow::ensure!(good, "OpenSSL refuses the signature");
                Ok(())
            })?;
            let pythons = python.each()?;
            let salts = salt.each()?;
            // The first round warms up.
            if round > 0 {
                own.push(ours * 1e6);
                to_evp.push(theirs / ours);
                to_python.push(pythons / ours);
                to_salt.push(salts / ours);
            }
        }
        let name = |what: &str| format!("{algorithm}: {what}");
        figures.judge(&name("ours"), Spread::from_iter(own), "us", Bound::None);
        let evp = Spread::from_iter(to_evp);
        figures.judge(&name("speed against EVP"), evp, "", Bound::AtLeast(0.95));
        let salt = Spread::from_iter(to_salt);
        let against = name("speed against Python cryptography, as Salt calls it");
        figures.judge(&against, salt, "", Bound::AtLeast(1.3));
        // Nothing to promise: its OpenSSL is newer than the system's that we link.
        let python = Spread::from_iter(to_python);
        let against = name("speed against Python cryptography, the bare call");
        figures.judge(&against, python, "", Bound::None);
    }
    Ok(())
}

/// Seconds of CPU time for one call.
fn each(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let before = thread_cpu()?;
    for _ in 0..CALLS {
        call()?;
    }
    let spent: Duration = thread_cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() / f64::from(CALLS))
}

/// The interpreter of a real installation, with the key loaded as Salt has it.
struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(
        program: &str,
        (trusted, algorithm, message, signature): (&PublicKey, Algorithm, &[u8], &[u8]),
    ) -> Result<Self> {
        let mut command: Command = Version::V3008.command("python")?;
        let mut child = command
            .args(["-c", program, trusted.canonical(), algorithm.name()])
            .args([hex::encode(message), hex::encode(signature)])
            .arg(CALLS.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, answers })
    }

    fn each(&mut self) -> Result<f64> {
        let input = self.child.stdin.as_mut().context("no input")?;
        writeln!(input, "go")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().context("Python has failed")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it, and it removes its files.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

const ROUNDS: usize = 15;
const CALLS: u32 = 2000;

/// With the key loaded before.
const CRYPTOGRAPHY: &str = "
import sys, time
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

key = serialization.load_pem_public_key(sys.argv[1].encode() + b'\\n')
hash = getattr(hashes, sys.argv[2].split('-')[1])
message, signature, calls = bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4]), int(sys.argv[5])
for line in sys.stdin:
    before = time.thread_time()
    for _ in range(calls):
        key.verify(signature, message, padding.PKCS1v15(), hash())
    print((time.thread_time() - before) / calls, flush=True)
";

/// What a stock minion calls at each sign-in (Salt 3008.5, `salt/crypt.py`,
/// `AsyncAuth.verify_pubkey_sig`).
const SALT: &str = "
import sys, tempfile, time
import salt.crypt

message, signature, calls = bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4]), int(sys.argv[5])
with tempfile.NamedTemporaryFile('w', suffix='.pub') as file:
    file.write(sys.argv[1] + '\\n')
    file.flush()
    for line in sys.stdin:
        before = time.thread_time()
        for _ in range(calls):
            assert salt.crypt.verify_signature(file.name, message, signature, algorithm=sys.argv[2])
        print((time.thread_time() - before) / calls, flush=True)
";
