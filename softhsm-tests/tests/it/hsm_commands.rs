//! `mastersign hsm init`, `list` and `test`, each on a token of its own.

pub(crate) mod lab;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use minion::verify::PublicKey;
use serde_json::Value;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::attempt;

use self::lab::{LABEL, Lab, PIN};

#[test]
fn a_key_is_made_inside_listed_and_tested() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    ensure!(made["key"]["bits"] == 2048, "{made}");
    ensure!(made["key"]["verdict"]["generated_inside"] == true, "{made}");
    ensure!(made["dropped"] == serde_json::json!([]), "{made}");
    for algorithm in ["PKCS1v15-SHA1", "PKCS1v15-SHA224"] {
        ensure!(made["trial_signatures"][algorithm] == "verified", "{made}");
    }

    let file = lab.path("master_sign.pub");
    let text = fs::read(&file)?;
    let public = PublicKey::parse(&text)?;
    ensure!(
        text == public.to_file().as_bytes(),
        "the file is the canonical text and one LF"
    );
    ensure!(
        fs::metadata(&file)?.permissions().mode() & 0o777 == 0o644,
        "everybody may read it"
    );
    ensure!(
        made["key"]["public_key_sha256"] == public.hash().to_string(),
        "{made}"
    );

    let listed = lab.json(&["list", "--token-label", LABEL, "--pin-file", "pin"])?;
    let token = &listed["tokens"][0];
    ensure!(token["keys"][0]["uri"] == made["uri"], "{listed}");
    ensure!(
        token["keys"].as_array().map(Vec::len) == Some(1),
        "{listed}"
    );

    let id = text_of(&made["key"]["id"])?;
    let tested = lab.json(&[
        "test",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file",
        "pin",
    ])?;
    ensure!(tested["ok"] == true, "{tested}");

    let counts = lab.counts();
    ensure!(
        counts.signatures_but_over(&public)? == 0,
        "only its own public half is ever signed"
    );
    ensure!(
        counts.calls("C_Sign")? == 4,
        "two algorithms, two commands: {}",
        counts.text()?
    );
    Ok(())
}

#[test]
fn another_tool_reads_the_same_attributes() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let read = lab.tool(&["--login", "--pin", PIN, "--list-objects", "--type=privkey"])?;
    for word in [
        "sensitive, always sensitive, never extractable, local",
        "Usage:      sign\n",
    ] {
        ensure!(read.contains(word), "{read}");
    }
    ensure!(read.contains("Allowed mechanisms: RSA-PKCS\n"), "{read}");
    ensure!(read.contains(text_of(&made["key"]["id"])?), "{read}");
    let public = lab.tool(&["--list-objects", "--type=pubkey"])?;
    ensure!(public.contains(text_of(&made["key"]["id"])?), "{public}");
    ensure!(public.contains("master_sign"), "{public}");
    Ok(())
}

#[test]
fn the_raw_rsa_operation_is_refused_to_a_key_that_was_made_here() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = text_of(&made["key"]["id"])?;
    fs::write(lab.path("block"), [1; 256])?;
    fs::write(lab.path("digest"), [1; 35])?;
    let sign = |mechanism: &str, input: &str| {
        let mut command = lab.tool_command();
        command
            .args([
                "--login",
                "--pin",
                PIN,
                "--sign",
                "--id",
                id,
                "--mechanism",
                mechanism,
            ])
            .arg("--input-file")
            .arg(lab.path(input))
            .arg("--output-file")
            .arg(lab.path("signature"));
        attempt(&command)
    };
    let (status, _, complaints) = sign("RSA-X-509", "block")?;
    ensure!(
        !status.success() && complaints.contains("CKR_MECHANISM_INVALID"),
        "{complaints}"
    );
    let (status, _, complaints) = sign("RSA-PKCS", "digest")?;
    ensure!(
        status.success(),
        "the same call with the allowed mechanism: {complaints}"
    );
    Ok(())
}

#[test]
fn a_second_key_of_the_same_name_is_refused_and_leaves_nothing() -> Result<()> {
    let lab = Lab::create()?;
    lab.init(&[])?;
    let complaints = lab.refused(&[
        "init",
        "--token-label",
        LABEL,
        "--pin-file",
        "pin",
        "--backup=none",
        "--out",
        "other.pub",
    ])?;
    ensure!(complaints.contains("the token already has"), "{complaints}");
    ensure!(!lab.path("other.pub").exists(), "the reserved file is gone");
    ensure!(
        lab.counts().calls("C_GenerateKeyPair")? == 1,
        "nothing was generated"
    );

    let complaints = lab.refused(&[
        "init",
        "--token-label",
        LABEL,
        "--pin-file",
        "pin",
        "--backup=none",
        "--key-label=new",
    ])?;
    ensure!(
        complaints.contains("master_sign.pub exists already"),
        "{complaints}"
    );
    ensure!(
        lab.counts().calls("C_GenerateKeyPair")? == 1,
        "nothing was generated"
    );
    Ok(())
}

#[test]
fn a_token_is_never_initialised_twice() -> Result<()> {
    let lab = Lab::create()?;
    lab.init(&[])?;
    let again = |more: &[&str]| {
        let mut arguments = vec![
            "init",
            "--init-token",
            "--pin-file=pin",
            "--so-pin-file=so-pin",
            "--backup=none",
            "--out=other.pub",
        ];
        arguments.extend(more);
        lab.refused(&arguments)
    };
    let complaints = again(&["--token-label", LABEL])?;
    ensure!(complaints.contains("nothing was changed"), "{complaints}");
    let listed = lab.json(&["list", "--token-label", LABEL])?;
    let slot = listed["tokens"][0]["token"]["slot"].to_string();
    let complaints = again(&["--token-label=another", "--slot", &slot])?;
    ensure!(complaints.contains("nothing was changed"), "{complaints}");
    ensure!(
        lab.counts().calls("C_InitToken")? == 1,
        "only the first one"
    );
    Ok(())
}

#[test]
fn a_wrong_pin_is_named_and_presented_once() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = text_of(&made["key"]["id"])?;
    let before = lab.counts().calls("C_Login")?;
    lab.secret("wrong-pin", "not the PIN")?;
    let complaints = lab.refused(&[
        "test",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file",
        "wrong-pin",
    ])?;
    ensure!(
        complaints.contains("the token refused the PIN"),
        "{complaints}"
    );
    ensure!(complaints.contains("CKR_PIN_INCORRECT"), "{complaints}");
    ensure!(!complaints.contains("not the PIN"), "{complaints}");
    ensure!(
        lab.counts().calls("C_Login")? == before + 1,
        "{}",
        lab.counts().text()?
    );
    Ok(())
}

#[test]
fn a_token_that_counts_a_wrong_pin_is_not_risked_by_a_test() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = text_of(&made["key"]["id"])?;
    lab.secret("wrong-pin", "not the PIN")?;
    let test = ["test", "--token-label", LABEL, "--key-id", id, "--pin-file"];
    lab.refused(&[&test[..], &["wrong-pin"]].concat())?;
    let before = lab.counts().calls("C_Login")?;
    let complaints = lab.refused(&[&test[..], &["pin"]].concat())?;
    ensure!(complaints.contains("--force-login"), "{complaints}");
    ensure!(lab.counts().calls("C_Login")? == before, "it logged in");
    lab.refused(&[&test[..], &["wrong-pin", "--force-login"]].concat())?;
    ensure!(lab.counts().calls("C_Login")? == before + 1, "it did not");
    Ok(())
}

#[test]
fn a_pin_that_others_may_read_is_not_presented() -> Result<()> {
    let lab = Lab::create()?;
    lab.init(&[])?;
    let before = lab.counts().calls("C_Login")?;
    fs::set_permissions(lab.path("pin"), fs::Permissions::from_mode(0o644))?;
    let complaints = lab.refused(&["list", "--token-label", LABEL, "--pin-file", "pin"])?;
    ensure!(complaints.contains("chmod 0400"), "{complaints}");
    ensure!(
        lab.counts().calls("C_Login")? == before,
        "{}",
        lab.counts().text()?
    );
    Ok(())
}

#[test]
fn a_missing_module_is_named() -> Result<()> {
    let mut command = mastersign()?;
    command.args(["hsm", "list", "--module", "/nowhere/libvendor.so"]);
    let (status, _, complaints) = attempt(&command)?;
    ensure!(status.code() == Some(1), "{status}");
    ensure!(complaints.contains("/nowhere/libvendor.so"), "{complaints}");
    Ok(())
}

#[test]
fn a_missing_token_is_answered_with_those_that_there_are() -> Result<()> {
    let lab = Lab::create()?;
    lab.init(&[])?;
    let complaints = lab.refused(&["list", "--token-label", "elsewhere"])?;
    ensure!(
        complaints.contains("no token answers to label \"elsewhere\""),
        "{complaints}"
    );
    ensure!(complaints.contains(&format!("{LABEL:?}")), "{complaints}");
    Ok(())
}

#[test]
fn two_keys_with_one_id_are_refused_with_a_listing() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let id = text_of(&made["key"]["id"])?;
    lab.tool(&[
        "--login",
        "--pin",
        PIN,
        "--keypairgen",
        "--key-type=rsa:2048",
        "--usage-sign",
        "--id",
        id,
        "--label=twin",
    ])?;
    let test = [
        "test",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file",
        "pin",
    ];
    let complaints = lab.refused(&test)?;
    ensure!(
        complaints.contains("2 keys on the token answer to"),
        "{complaints}"
    );
    for label in ["\"twin\"", "\"master_sign\""] {
        ensure!(complaints.contains(label), "{complaints}");
    }
    Ok(())
}

#[test]
fn the_printed_section_passes_the_test_and_another_pinned_key_does_not() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&[])?;
    let config = lab.path("mastersign.toml");
    let test = || -> Result<_> {
        let mut command = mastersign()?;
        command
            .args(["hsm", "test", "--output=json", "--config"])
            .arg(&config);
        let (status, answer, complaints) = attempt(&command)?;
        let answer: Value = serde_json::from_str(&answer).context(complaints)?;
        Ok((status, answer))
    };
    fs::write(&config, service(text_of(&made["section"])?))?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
    let (status, answer) = test()?;
    ensure!(status.success() && answer["ok"] == true, "{answer}");
    ensure!(answer["hsm"] == "lab", "{answer}");

    let stranger = openssl::rsa::Rsa::generate(2048)?.public_key_to_pem()?;
    fs::write(lab.path("master_sign.pub"), stranger)?;
    let signed = lab.counts().calls("C_Sign")?;
    let (status, answer) = test()?;
    ensure!(
        status.code() == Some(1) && answer["ok"] == false,
        "{answer}"
    );
    let failed = text_of(&answer["failed"])?;
    ensure!(failed.contains("is not the pinned one"), "{failed}");
    ensure!(
        lab.counts().calls("C_Sign")? == signed,
        "nothing was signed with it"
    );
    Ok(())
}

#[test]
fn a_key_that_may_leave_wrapped_is_refused_until_that_is_admitted() -> Result<()> {
    let lab = Lab::create()?;
    let made = lab.init(&["--backup=wrap"])?;
    ensure!(
        made["key"]["verdict"]["generated_inside"] == false,
        "{made}"
    );
    ensure!(
        made["key"]["attributes"]["CKA_WRAP_WITH_TRUSTED"] == true,
        "{made}"
    );
    let id = text_of(&made["key"]["id"])?;
    let complaints = lab.refused(&[
        "test",
        "--token-label",
        LABEL,
        "--key-id",
        id,
        "--pin-file",
        "pin",
    ])?;
    ensure!(
        complaints.contains("CKA_EXTRACTABLE is true"),
        "{complaints}"
    );
    let section = text_of(&made["section"])?;
    ensure!(
        section.contains("require_never_extractable = \"warn\""),
        "{section}"
    );
    Ok(())
}

#[test]
fn without_a_terminal_the_backup_has_to_be_said() -> Result<()> {
    let lab = Lab::create()?;
    let complaints = lab.refused(&[
        "init",
        "--init-token",
        "--token-label",
        LABEL,
        "--pin-file=pin",
        "--so-pin-file=so-pin",
    ])?;
    ensure!(complaints.contains("--backup vendor-clone"), "{complaints}");
    ensure!(lab.counts().calls("C_InitToken")? == 0, "nothing was done");
    Ok(())
}

/// The configuration around a `[[hsm]]` section; `hsm test` opens none of these files.
fn service(section: &str) -> String {
    let tls = Path::new("/nowhere");
    format!(
        "state_dir = \"/nowhere\"\n\
         [listen]\n\
         api = \"127.0.0.1:0\"\n\
         ops = \"127.0.0.1:0\"\n\
         [tls]\n\
         certificate = {tls:?}\n\
         key = {tls:?}\n\
         masters_ca = {tls:?}\n\
         operators_ca = {tls:?}\n\
         {section}\n"
    )
}

fn text_of(value: &Value) -> Result<&str> {
    value
        .as_str()
        .with_context(|| format!("{value} is no text"))
}
