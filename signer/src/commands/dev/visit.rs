//! The first signature, the way it is made in production: ask, be accepted by an operator, ask
//! again, verify.

use std::fs;

use anyhow::{Context, bail, ensure};
use minion::verify::{PublicKey, clean_key};
use openssl::pkey::PKey;
use uuid::Uuid;

use super::setup::{self, Files};
use crate::authorize::{Proof, Purpose, SignedStatement, Statement, Verb};
use crate::client::{Client, Credentials, Put, SignatureDocument};
use crate::clock::{Clock, SystemClock};
use crate::hsm::{HsmStatus, Pool, State};
use crate::pki::{self, Existing};
use crate::terminal;

/// Fetches the signature over the master's key, verifies it and writes the file that salt-master
/// reads.
pub(super) async fn first_signature(pool: &Pool, files: &Files, url: &str) -> anyhow::Result<()> {
    terminal::note("Starting the service, and the worker process that talks to the token ...")?;
    wait_for(pool).await?;
    let text = fs::read_to_string(&files.master_pub).context("cannot read master.pub")?;
    let master = PublicKey::parse(clean_key(&text).as_bytes())
        .with_context(|| format!("{} cannot be signed", files.master_pub.display()))?;
    let signing = PublicKey::parse(&fs::read(&files.master_sign_pub)?)?;

    let credentials = Credentials::read(&files.ca, &files.client, &files.client_key)?;
    let client = Client::new(url, &credentials)?;
    let store = client.signing_keys().await?.store;
    terminal::note("Asking for a signature as the master; the key is unknown yet ...")?;
    let document = match ask(&client, &credentials, files, &master, store).await? {
        Put::Signed { .. } => bail!("the service signed a key that no operator had accepted"),
        Put::Pending(_) => {
            terminal::note("Accepting the key as an operator, by a signed statement ...")?;
            accept(files, url, &master, store).await?;
            match ask(&client, &credentials, files, &master, store).await? {
                Put::Signed { document, .. } => document,
                Put::Pending(_) => bail!("the key is still pending although it was accepted"),
            }
        }
    };
    write(files, &master, &signing, &document)
}

/// Waits for the self-test, or for a state that no waiting mends.
async fn wait_for(pool: &Pool) -> anyhow::Result<()> {
    let settled = |all: &[HsmStatus]| {
        all.iter()
            .all(|hsm| !matches!(hsm.state, State::Starting | State::Backoff))
    };
    let status = tokio::time::timeout(READY, pool.until(settled)).await;
    let status = status.unwrap_or_else(|_| pool.status());
    for hsm in &status {
        ensure!(
            hsm.state == State::Ready,
            "the HSM is {:?}: {}",
            hsm.state,
            hsm.detail
        );
    }
    Ok(())
}

async fn ask(
    client: &Client,
    credentials: &Credentials,
    files: &Files,
    master: &PublicKey,
    store: Uuid,
) -> anyhow::Result<Put> {
    let time = SystemClock.now();
    let pem = fs::read(&files.master_pem).context("cannot read master.pem")?;
    let private = PKey::private_key_from_pem_callback(&pem, |_| Ok(0))
        .context("master.pem is not an unencrypted private key; use `mastersign fetch`, which knows key_pass")?;
    let proof = Proof {
        purpose: Purpose::Put,
        store,
        client_key: credentials.client_key(),
        key: master.hash(),
        master: setup::master_id()?,
        time,
    };
    Ok(client
        .put_signature(master, None, time, &proof.sign(&private)?)
        .await?)
}

async fn accept(files: &Files, url: &str, master: &PublicKey, store: Uuid) -> anyhow::Result<()> {
    let credentials = Credentials::read(&files.ca, &files.admin, &files.admin_key)?;
    let client = Client::new(url, &credentials)?;
    let id = setup::master_id()?;
    let known = client.master(&id).await?;
    let statement = Statement {
        verb: Verb::Accept,
        store,
        master: id.clone(),
        key: Some(master.hash()),
        generation: known.generation.saturating_add(1),
        time: SystemClock.now(),
    };
    let signed = SignedStatement::sign(
        &statement,
        &credentials.private_key()?,
        credentials.certificate_pem(),
    )?;
    client.post_statement(&id, &signed).await?;
    Ok(())
}

/// Verifies with the code that a minion runs; only then the file is there.
fn write(
    files: &Files,
    master: &PublicKey,
    signing: &PublicKey,
    document: &SignatureDocument,
) -> anyhow::Result<()> {
    let signature = document
        .signature()
        .context("the answer holds no signature")?;
    signing.verify(document.algorithm, master, &signature)?;
    pki::write_public(&files.signature, &signature.to_file(), Existing::Keep)?;
    Ok(())
}

/// A software token logs in within a second; a loaded machine gets the benefit of the doubt.
const READY: std::time::Duration = std::time::Duration::from_secs(60);
