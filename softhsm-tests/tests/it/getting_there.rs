//! Keys that exist already: into a token, taken over from a vendor's tool, and on to minions; and
//! the record and the measurement of a token.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use minion::verify::{Algorithm, Fingerprint, PublicKey};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use serde_json::Value;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::salt::Version;
use softhsm_tests::service::Site;

use crate::hsm_commands::lab::{LABEL, Lab, PIN};

/// A token without a key, and the pair of files that stock Salt makes.
struct Stock {
    lab: Lab,
    rsa: Rsa<openssl::pkey::Private>,
    public: PublicKey,
}

impl Stock {
    fn create() -> Result<Self> {
        let lab = Lab::create()?;
        lab.token()?;
        let rsa = Rsa::generate(2048)?;
        let public = PublicKey::decode(&String::from_utf8(rsa.public_key_to_pem()?)?)?;
        fs::write(lab.path("master_sign.pem"), rsa.private_key_to_pem()?)?;
        Ok(Self { lab, rsa, public })
    }

    /// The key in the token, as the vendor's tool brings it there.
    fn with_vendor_key() -> Result<Self> {
        let stock = Self::create()?;
        let pkcs8 = PKey::from_rsa(stock.rsa.clone())?.private_key_to_der()?;
        let key = stock.lab.path("key.der");
        fs::write(&key, pkcs8)?;
        stock.lab.tool(&[
            "--login",
            "--pin",
            PIN,
            "--write-object",
            &key.to_string_lossy(),
            "--type=privkey",
            "--id=77",
            "--label=vendor",
        ])?;
        fs::write(stock.lab.path("trusted.pub"), stock.public.to_file())?;
        Ok(stock)
    }

    fn import(&self, more: &[&str]) -> Vec<String> {
        let mut line = vec![
            "import",
            "--token-label",
            LABEL,
            "--pin-file=pin",
            "--key-id=5a",
        ];
        line.extend(more);
        line.into_iter().map(str::to_owned).collect()
    }

    fn json(&self, line: &[String]) -> Result<Value> {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        self.lab.json(&line)
    }

    fn refused(&self, line: &[String]) -> Result<String> {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        self.lab.refused(&line)
    }
}

#[test]
fn a_file_becomes_a_key_in_the_token_that_signs_the_same() -> Result<()> {
    let stock = Stock::create()?;
    let wrapped = PKey::from_rsa(stock.rsa.clone())?;
    let cipher = Cipher::aes_256_cbc();
    fs::write(
        stock.lab.path("pkcs8.pem"),
        wrapped.private_key_to_pem_pkcs8_passphrase(cipher, b"open sesame")?,
    )?;
    stock.lab.secret("pass", "open sesame")?;

    let before = stock.lab.counts().calls("C_CreateObject")?;
    let tried = stock.json(&stock.import(&["master_sign.pem", "--dry-run"]))?;
    ensure!(
        tried["would_import"] == stock.public.hash().to_string(),
        "{tried}"
    );
    ensure!(
        stock.lab.counts().calls("C_Login")? == 0,
        "no PIN was presented"
    );
    ensure!(stock.lab.counts().calls("C_CreateObject")? == before);

    let made = stock.json(&stock.import(&["pkcs8.pem", "--pass-file=pass"]))?;
    ensure!(
        made["key"]["public_key_sha256"] == stock.public.hash().to_string(),
        "{made}"
    );
    ensure!(
        made["key"]["verdict"]["generated_inside"] == false,
        "{made}"
    );
    ensure!(made["copies_may_exist"] == true, "{made}");
    ensure!(
        made["key"]["attributes"]["CKA_EXTRACTABLE"] == false,
        "{made}"
    );
    ensure!(made["key"]["attributes"]["CKA_DECRYPT"] == false, "{made}");
    let section = made["section"].as_str().context("no section")?;
    ensure!(
        section.contains("require_never_extractable = \"warn\""),
        "{section}"
    );
    let file = fs::read(stock.lab.path("master_sign.pub"))?;
    ensure!(file == stock.public.to_file().as_bytes());
    ensure!(
        stock.lab.counts().signatures_but_over(&stock.public)? == 0,
        "only its own public half is ever signed"
    );
    for algorithm in Algorithm::ALL {
        ensure!(stock.lab.counts().signatures(algorithm, &stock.public)? == 1);
    }

    // Not a second time, also not under another id: the label is taken.
    let mut again = stock.import(&["master_sign.pem"]);
    let complaint = stock.refused(&again)?;
    ensure!(complaint.contains("the token already has"), "{complaint}");
    again.retain(|word| word != "--key-id=5a");
    let complaint = stock.refused(&again)?;
    ensure!(complaint.contains("the token already has"), "{complaint}");
    Ok(())
}

#[test]
fn a_file_that_must_not_be_imported_is_refused_before_the_token_is_touched() -> Result<()> {
    let stock = Stock::create()?;
    let logins = || stock.lab.counts().calls("C_Login");
    let before = logins()?;
    let short = Rsa::generate(1024)?;
    let public = stock.rsa.public_key_to_pem()?;
    let private = stock.rsa.private_key_to_pem()?;
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1)?;
    let elliptic = PKey::from_ec_key(openssl::ec::EcKey::generate(&group)?)?;
    let sealed = stock
        .rsa
        .private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"other")?;
    stock.lab.secret("pass", "open sesame")?;
    for (content, expected) in [
        (short.private_key_to_pem()?, "1024 bits"),
        (public, "a public key"),
        ([private.clone(), private].concat(), "2 PEM blocks"),
        (elliptic.private_key_to_pem_pkcs8()?, "no RSA key"),
        (sealed, "does not decrypt"),
        (b"\0\xff".to_vec(), "as text"),
    ] {
        fs::write(stock.lab.path("bad.pem"), content)?;
        let complaint = stock.refused(&stock.import(&["bad.pem", "--pass-file=pass"]))?;
        ensure!(complaint.contains(expected), "{expected}: {complaint}");
        ensure!(!complaint.contains("sesame"), "{complaint}");
    }
    // Another key's public half lies where ours should go.
    let other = Rsa::generate(2048)?.public_key_to_pem()?;
    fs::write(stock.lab.path("master_sign.pub"), &other)?;
    let complaint = stock.refused(&stock.import(&["master_sign.pem"]))?;
    ensure!(complaint.contains("holds another key"), "{complaint}");
    ensure!(fs::read(stock.lab.path("master_sign.pub"))? == other);
    ensure!(logins()? == before, "no PIN was presented");
    ensure!(stock.lab.counts().calls("C_CreateObject")? == 0);
    Ok(())
}

#[test]
fn a_key_of_another_tool_is_adopted_only_if_it_is_the_trusted_one() -> Result<()> {
    let stock = Stock::with_vendor_key()?;
    fs::write(
        stock.lab.path("other.pub"),
        Rsa::generate(2048)?.public_key_to_pem()?,
    )?;
    let complaint = stock.refused(&adopt("other.pub", &[]))?;
    ensure!(complaint.contains("not the pinned one"), "{complaint}");
    let found = stock.json(&adopt("trusted.pub", &[]))?;
    ensure!(
        found["key"]["public_key_sha256"] == stock.public.hash().to_string(),
        "{found}"
    );
    ensure!(
        found["key"]["verdict"]["generated_inside"] == false,
        "{found}"
    );
    ensure!(stock.lab.counts().signatures_but_over(&stock.public)? == 0);
    ensure!(
        stock.lab.counts().calls("C_Sign")? == 2,
        "one for each algorithm"
    );
    let said = run(&stock.lab.hsm(&[
        "adopt",
        "--token-label",
        LABEL,
        "--pin-file=pin",
        "--key-id=77",
        "--public-key=trusted.pub",
    ])?)?;
    ensure!(said.contains("Copies of it may exist outside"), "{said}");
    ensure!(said.contains("born in the HSM"), "{said}");
    Ok(())
}

#[test]
fn with_the_file_at_hand_token_and_file_sign_the_same_before_a_key_is_adopted() -> Result<()> {
    let stock = Stock::with_vendor_key()?;
    stock.lab.secret("pass", "open sesame")?;
    fs::write(
        stock.lab.path("encrypted.pem"),
        PKey::from_rsa(stock.rsa.clone())?
            .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame")?,
    )?;
    let compare = |more: &[&str]| adopt("trusted.pub", more);
    for file in [
        &["--compare=master_sign.pem"][..],
        &["--compare=encrypted.pem", "--pass-file=pass"],
    ] {
        let before = stock.lab.counts().calls("C_Sign")?;
        let found = stock.json(&compare(file))?;
        let told = found["trial_signatures"].as_str().context("no word")?;
        ensure!(told.contains("byte for byte the same"), "{found}");
        ensure!(stock.lab.counts().calls("C_Sign")? == before + 2);
    }
    ensure!(stock.lab.counts().signatures_but_over(&stock.public)? == 0);
    let before = stock.lab.counts().calls("C_Login")?;
    let other = Rsa::generate(2048)?.private_key_to_pem()?;
    fs::write(stock.lab.path("other.pem"), other)?;
    let complaint = stock.refused(&compare(&["--compare=other.pem"]))?;
    ensure!(
        complaint.contains("compare with the file of that one"),
        "{complaint}"
    );
    ensure!(
        stock.lab.counts().calls("C_Login")? == before,
        "no PIN was presented"
    );
    // A token that signs otherwise than the file, by either algorithm.
    for right in 0..2 {
        let before = stock.lab.counts().spoiled("C_Sign")?;
        let wrong = format!("--env=FAULT_MODULE_SIGN_WRONG={right}");
        let complaint = stock.refused(&compare(&["--compare=master_sign.pem", &wrong]))?;
        ensure!(
            complaint.contains("does not sign as the file does"),
            "{complaint}"
        );
        ensure!(stock.lab.counts().spoiled("C_Sign")? == before + 1);
    }
    Ok(())
}

/// The line that adopts the vendor's key as this public one.
fn adopt(public: &str, more: &[&str]) -> Vec<String> {
    let public = format!("--public-key={public}");
    let line = [
        "adopt",
        "--token-label",
        LABEL,
        "--pin-file=pin",
        "--key-id=77",
        &public,
    ];
    let words = [&line[..], more].concat();
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_record_of_a_ceremony_says_everything_in_both_forms() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = made["key"]["id"].as_str().context("no id")?;
    let line = [
        "report",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file=pin",
        "--backup=none",
        "--witness=ada: security officer",
        "--out=record",
    ];
    let record = lab.json(&line)?;
    let public = PublicKey::parse(&fs::read(lab.path("master_sign.pub"))?)?;
    ensure!(record["key"] == made["key"], "{record}");
    ensure!(record["public_key"] == public.to_file(), "{record}");
    ensure!(
        record["token"]["serial"] == made["token"]["serial"],
        "{record}"
    );
    ensure!(
        record["trial_signatures"]["PKCS1v15-SHA224"] == "verified",
        "{record}"
    );
    let json = fs::read(lab.path("record.json"))?;
    ensure!(serde_json::from_slice::<Value>(&json)? == record);
    let text = fs::read_to_string(lab.path("record.txt"))?;
    for expected in [
        Fingerprint::salt(&public).to_string(),
        Fingerprint::file(&public).to_string(),
        Fingerprint::spki(&public)?.to_string(),
        public.to_file(),
        "ada: security officer".to_owned(),
        "generated inside, never left".to_owned(),
        "There is no copy".to_owned(),
        hex::encode(openssl::sha::sha256(&json)),
    ] {
        ensure!(text.contains(&expected), "{expected:?} is not in {text}");
    }
    let complaint = lab.refused(&line)?;
    ensure!(
        complaint.contains("record.json exists already"),
        "{complaint}"
    );
    ensure!(!text.contains(PIN));
    Ok(())
}

#[test]
fn a_measurement_signs_nothing_but_the_keys_own_half() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = made["key"]["id"].as_str().context("no id")?;
    let public = PublicKey::parse(&fs::read(lab.path("master_sign.pub"))?)?;
    let before = lab.counts().calls("C_Sign")?;
    let line = [
        "bench",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file=pin",
    ];
    let measured = lab.json(&[&line[..], &["--time=300ms", "--sessions=2"]].concat())?;
    let count = measured["signatures"].as_u64().context("no count")?;
    ensure!(count > 0, "{measured}");
    let made = lab.counts().calls("C_Sign")? - before;
    ensure!(u64::try_from(made)? >= count, "{made} {measured}");
    ensure!(lab.counts().signatures_but_over(&public)? == 0);
    Ok(())
}

#[test]
fn the_public_key_reaches_a_minion_in_every_form() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let public = Rsa::generate(2048)?.public_key_to_pem()?;
    fs::write(path("master_sign.pub"), &public)?;
    let pki = path("pki");
    let export = |format: &str, more: &[&str]| -> Result<Command> {
        let mut command = mastersign()?;
        command
            .args(["keys", "export", "--format", format, "--public-key"])
            .arg(path("master_sign.pub"))
            .arg("--pki-dir")
            .arg(&pki)
            .args(more);
        Ok(command)
    };
    ensure!(run(&export("file", &[])?)?.as_bytes() == public);

    // A real salt-call applies the state.
    let states = path("states");
    fs::create_dir_all(&states)?;
    fs::write(states.join("mastersign.sls"), run(&export("state", &[])?)?)?;
    fs::write(
        path("minion"),
        format!(
            "root_dir: {0}\ncachedir: {0}/cache\nid: mole\nenable_fqdns_grains: False\n",
            directory.path().display()
        ),
    )?;
    let mut call = Version::V3008.command("salt-call")?;
    call.args(["--local", "--out=json", "--config-dir"])
        .arg(directory.path())
        .arg("--file-root")
        .arg(&states)
        .args(["state.apply", "mastersign"]);
    let (status, answer, complaint) = attempt(&call)?;
    ensure!(status.success(), "{answer}{complaint}");
    ensure!(fs::read(pki.join("master_sign.pub"))? == public, "{answer}");

    let script = path("prepare.sh");
    fs::write(&script, run(&export("bootstrap", &["--verify"])?)?)?;
    let prepared = path("prepared");
    run(Command::new("sh").arg(&script).arg(&prepared))?;
    ensure!(fs::read(prepared.join("master_sign.pub"))? == public);
    let settings = fs::read_to_string(prepared.join("minion"))?;
    ensure!(
        settings == "verify_master_pubkey_sign: True\n",
        "{settings}"
    );
    Ok(())
}

#[test]
fn a_key_is_exported_from_the_running_service_by_any_client() -> Result<()> {
    let site = Site::create()?;
    let service = site.serve()?;
    service.log().wait_for("ready to sign")?;
    let papers = site.pki().master("alpha")?;
    let file: PathBuf = site.token().public_key_file();
    let mut command = mastersign()?;
    command
        .args(["keys", "export", "--url", &service.url()])
        .args(papers.options());
    ensure!(run(&command)?.as_bytes() == fs::read(file)?);
    let mut list = mastersign()?;
    list.args(["keys", "list", "--output=json", "--url", &service.url()])
        .args(papers.options());
    let listed: Value = serde_json::from_str(&run(&list)?)?;
    let hash = site.token().public_key().hash().to_string();
    ensure!(listed["signing_keys"][0]["id"] == hash, "{listed}");
    ensure!(listed["store"] == site.store().to_string(), "{listed}");
    Ok(())
}
