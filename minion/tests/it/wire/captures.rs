//! Every recorded frame is read, means what Python read in it, and is made again byte for byte.

use minion::verify::{Algorithm, PublicKey};
use minion::wire::auth::{Proof, Refusal, Session};
use minion::wire::crypticle::{Iv, OpenError};
use minion::wire::envelope::Hint;
use minion::wire::msgpack::{Fields, Value, decode, encode};
use minion::wire::publish::{Function, Publications, Target};
use minion::wire::request::{Command, ReplyError, Return};
use serde_json::Value as Json;

use super::capture::{Party, captures, damaged, nonce};

#[test]
fn every_frame_means_what_python_read_and_is_written_back_byte_for_byte() {
    for capture in captures() {
        for name in capture.frames() {
            let frame = capture.frame(&name);
            let value = decode(&frame).unwrap();
            let json = capture.json(&name);
            assert!(same(&value, &json["outer"]), "{} {name}", capture.case);
            assert_eq!(encode(&value).unwrap(), frame, "{} {name}", capture.case);
        }
    }
}

#[test]
fn no_truncation_of_a_frame_is_a_message() {
    for capture in captures() {
        for name in capture.frames() {
            let frame = capture.frame(&name);
            for length in 0..frame.len() {
                let cut = decode(&frame[..length]);
                assert!(cut.is_err(), "{} {name} {length}", capture.case);
            }
        }
    }
}

#[test]
fn every_sealed_load_opens_and_is_sealed_again_byte_for_byte() {
    let mut opened = 0;
    for capture in captures() {
        for name in capture.frames() {
            let json = capture.json(&name);
            let Some(key) = json["decrypted_with"].as_str() else {
                continue;
            };
            let sealed = sealed_part(&capture.frame(&name));
            let key = capture.crypticle(key);
            if capture.case == "wrong_session" {
                // Sealed with a key that the master does not know; `keys.json` has the one that it
                // does.
                assert_eq!(key.open(&sealed), Err(OpenError::Sealed));
                continue;
            }
            opened += 1;
            if let Some(echo) = json["nonce"].as_str() {
                let value = key.open_reply(&sealed, &nonce(echo)).unwrap();
                assert!(
                    same(&value, &json["value_msgpack"]),
                    "{} {name}",
                    capture.case
                );
                continue;
            }
            let value = key.open(&sealed).unwrap();
            assert!(
                same(&value, &json["load_msgpack"]),
                "{} {name}",
                capture.case
            );
            let iv = Iv::new(sealed[..16].try_into().unwrap());
            assert_eq!(
                key.seal(&value, iv).unwrap(),
                sealed,
                "{} {name}",
                capture.case
            );
        }
    }
    assert_eq!(opened, 27);
}

#[test]
fn every_damaged_sealed_load_is_refused_before_it_is_decrypted() {
    let mut count = 0;
    for capture in captures() {
        for name in capture.frames() {
            let Some(key) = capture.json(&name)["decrypted_with"]
                .as_str()
                .map(str::to_owned)
            else {
                continue;
            };
            let key = capture.crypticle(&key);
            for damaged in damaged(&sealed_part(&capture.frame(&name))) {
                let opened = key.open(&damaged);
                assert_eq!(opened, Err(OpenError::Sealed), "{} {name}", capture.case);
            }
            count += 1;
        }
    }
    // Those that open, and those under a key that the master does not know.
    assert_eq!(count, 30);
}

#[test]
fn the_token_of_every_key_is_the_one_that_masters_accepted() {
    for capture in captures() {
        let token = hex::encode(capture.minion().token());
        // `bad_tok` is the recording of a token of zeros.
        let accepted = token == capture.text("tok_x931_of_salt_hex");
        assert_eq!(accepted, capture.case != "bad_tok", "{}", capture.case);
    }
}

#[test]
fn every_sign_in_is_made_again_byte_for_byte() {
    let mut made = 0;
    for capture in captures() {
        // What these ask for, this minion does not ask for.
        let foreign = [
            "auth_invalid_id",
            "auth_bad_enc_algo",
            "auth_bad_sig_algo",
            "auth_old_version",
        ];
        if foreign.contains(&capture.case.as_str()) {
            continue;
        }
        let token = capture.request().optional_bytes("token").unwrap();
        let known = token.as_ref().map(|_| capture.master());
        let party = Party::new(&capture);
        let (_, request) = party.begin(known.as_ref());
        // OAEP is not deterministic, so the recorded token stands in for ours.
        let expected = capture.frame("auth.request");
        assert_eq!(request.len(), expected.len(), "{}", capture.case);
        assert_eq!(with_token(&request, token), expected, "{}", capture.case);
        made += 1;
    }
    assert_eq!(made, 27);
}

#[test]
fn every_answer_to_a_sign_in_is_what_the_master_meant() {
    for capture in captures()
        .iter()
        .filter(|capture| capture.has("auth.reply"))
    {
        let sent = capture.request().take("token").is_some();
        let known = sent.then(|| capture.master());
        let answer = answer(
            &Party::new(capture),
            known.as_ref(),
            &capture.frame("auth.reply"),
        );
        let proof = if sent {
            Proof::Signed
        } else {
            Proof::Unverified
        };
        match capture.case.as_str() {
            "auth_pending" => assert_eq!(answer.unwrap_err(), Refusal::Pending(proof)),
            "auth_rejected" | "auth_denied_other_key" | "auth_invalid_id" => {
                assert_eq!(answer.unwrap_err(), Refusal::Rejected(proof));
            }
            "auth_bad_enc_algo" => {
                assert_eq!(answer.unwrap_err(), Refusal::Hint(Hint::BadEncryption));
            }
            "auth_bad_sig_algo" => {
                let text = "Some exception handling minion payload".to_owned();
                assert_eq!(answer.unwrap_err(), Refusal::Hint(Hint::Text(text)));
            }
            "auth_old_version" => {
                assert_eq!(answer.unwrap_err(), Refusal::Hint(Hint::BadLoad));
            }
            _ => {
                let session = answer.unwrap();
                assert_eq!(session.master, capture.master());
                assert_eq!(session.publish_port.get(), 4505);
                assert_eq!(session.aes.id(), capture.crypticle("aes").id());
                assert_eq!(session.session.id(), capture.crypticle("session").id());
            }
        }
    }
}

#[test]
fn no_damaged_answer_is_a_session_or_the_word_of_a_known_master() {
    for capture in captures()
        .iter()
        .filter(|capture| capture.has("auth.reply"))
    {
        let (party, known) = (Party::new(capture), capture.master());
        for reply in damaged(&capture.frame("auth.reply")) {
            if capture.case == "auth_accepted_first" {
                assert!(answer(&party, None, &reply).is_err());
            }
            let refusal = answer(&party, Some(&known), &reply).unwrap_err();
            assert!(
                !matches!(
                    refusal,
                    Refusal::Full(_) | Refusal::Pending(_) | Refusal::Rejected(_)
                ),
                "{}: {refusal:?}",
                capture.case
            );
        }
    }
}

#[test]
fn publications_open_in_order_and_only_once() {
    for capture in captures().iter().filter(|capture| capture.case == "job") {
        let mut publications = Publications::new(
            capture.crypticle("aes"),
            capture.master(),
            Algorithm::Sha1,
            None,
        );
        for (serial, name) in [(1, "test.ping"), (2, "test.version")] {
            let body = capture.frame(&format!("{name}.pub"));
            for damaged in damaged(&body) {
                assert!(publications.open(&damaged).is_err(), "{name}");
            }
            let job = publications.open(&body).unwrap();
            assert_eq!(job.serial, serial);
            assert_eq!(job.target, Target::Glob("vecminion".to_owned()));
            assert_eq!((job.user.as_str(), job.ret.as_str()), ("root", ""));
            let Function::One(call) = job.function else {
                panic!("one function");
            };
            assert_eq!((call.name.as_str(), call.arguments.len()), (name, 0));
            assert!(publications.open(&body).is_err(), "replayed");
        }
        assert_eq!(publications.last_serial(), Some(2));
    }
}

#[test]
fn requests_are_made_again_byte_for_byte_and_their_replies_open() {
    for capture in captures().iter().filter(|capture| capture.case == "job") {
        for name in ["start_event", "test.ping.return", "test.version.return"] {
            let expected = capture.frame(&format!("{name}.request"));
            let load = capture
                .crypticle("session")
                .open(&sealed_part(&expected))
                .unwrap();
            let mut load = Fields::new(load).unwrap();
            let requests = Party::new(capture).requests();
            let iv = Iv::new(sealed_part(&expected)[..16].try_into().unwrap());
            let now = load.unsigned("ts").unwrap();
            let nonce = nonce(&load.text("nonce").unwrap());
            let request = requests.seal(&command(&mut load), &nonce, now, iv).unwrap();
            assert_eq!(request, expected, "{name}");
            let reply = capture.frame(&format!("{name}.reply"));
            for damaged in damaged(&reply) {
                let again = super::capture::nonce(nonce.as_str());
                assert!(requests.open(&damaged, again).is_err(), "{name}");
            }
            assert_eq!(requests.open(&reply, nonce), Ok(Value::Nil), "{name}");
        }
    }
}

#[test]
fn bad_load_says_to_sign_in_again() {
    for capture in captures() {
        if ["bad_tok", "wrong_session"].contains(&capture.case.as_str()) {
            let reply = capture.frame("call.reply");
            let requests = Party::new(&capture).requests();
            let refused = requests.open(&reply, capture.nonce()).unwrap_err();
            assert_eq!(refused, ReplyError::BadLoad);
            assert!(refused.is_worth_a_sign_in());
        }
    }
}

/// Signs in as the recorded minion; `known` is what it knows of the master.
fn answer(party: &Party, known: Option<&PublicKey>, reply: &[u8]) -> Result<Session, Refusal> {
    party.begin(known).0.finish(reply)
}

fn command(load: &mut Fields) -> Command {
    if load.text("cmd").unwrap() == "_minion_event" {
        return Command::Event {
            tag: load.text("tag").unwrap(),
            data: load.take("data").unwrap(),
        };
    }
    Command::Return(Box::new(Return {
        jid: load.text("jid").unwrap().parse().unwrap(),
        fun: load.take("fun").unwrap(),
        fun_args: Vec::new(),
        value: load.take("return").unwrap(),
        retcode: load.take("retcode").unwrap(),
        success: load.take("success").unwrap(),
        out: None,
        user: None,
        metadata: None,
        stamp: load.text("_stamp").unwrap(),
    }))
}

fn with_token(request: &[u8], token: Option<Vec<u8>>) -> Vec<u8> {
    let Value::Map(mut outer) = decode(request).unwrap() else {
        panic!("a map");
    };
    let Value::Map(load) = &mut outer[1].1 else {
        panic!("a load");
    };
    if let Some(token) = token {
        let entry = load
            .iter_mut()
            .find(|(key, _)| *key == "token".into())
            .unwrap();
        entry.1 = token.into();
    }
    encode(&Value::Map(outer)).unwrap()
}

/// What a Crypticle sealed: the whole reply, or the load of a request or a publication.
fn sealed_part(frame: &[u8]) -> Vec<u8> {
    match decode(frame).unwrap() {
        Value::Raw(sealed) => sealed,
        map => Fields::new(map).unwrap().bytes("load").unwrap(),
    }
}

/// Whether a value is what Python's decoder saw; it wrote bytes as `{"hex": …}`.
fn same(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Nil, Json::Null) => true,
        (Value::Bool(ours), Json::Bool(theirs)) => ours == theirs,
        (Value::Unsigned(ours), Json::Number(theirs)) => theirs.as_u64() == Some(*ours),
        (Value::Raw(ours), Json::String(theirs)) => ours == theirs.as_bytes(),
        (Value::Raw(ours), Json::Object(theirs)) => {
            theirs["hex"].as_str() == Some(&hex::encode(ours))
        }
        (Value::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Map(ours), Json::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).count() == theirs.len()
                && ours.iter().all(|(key, value)| {
                    theirs
                        .get(key.as_text().unwrap())
                        .is_some_and(|json| same(value, json))
                })
        }
        _ => false,
    }
}
