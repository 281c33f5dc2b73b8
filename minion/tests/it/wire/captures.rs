//! Every recorded frame is read, means what Python read in it, and is made again byte for byte.

use minion::verify::Algorithm;
use minion::wire::auth::{Proof, Refusal};
use minion::wire::crypticle::{Crypticle, Iv, OpenError};
use minion::wire::envelope::Hint;
use minion::wire::msgpack::{Fields, Value, decode, encode};
use minion::wire::publish::{Call, Function, Jid, Publication, Target};
use minion::wire::request::{Command, ReplyError, Return, is_pong, ping};
use scripted_master::Keypair;
use serde_json::Value as Json;

use super::capture::{Party, captures, nonce, same};

#[test]
fn every_frame_means_what_python_read_and_is_written_back_byte_for_byte() {
    let mut count = 0;
    for capture in captures() {
        for name in capture.frames() {
            let frame = capture.frame(&name);
            let value = decode(&frame).unwrap();
            let json = capture.json(&name);
            assert!(same(&value, &json["outer"]), "{} {name}", capture.case);
            assert_eq!(encode(&value).unwrap(), frame, "{} {name}", capture.case);
            count += 1;
        }
    }
    assert_eq!(count, super::FRAMES);
}

#[test]
fn every_sealed_load_opens_and_is_sealed_again_byte_for_byte() {
    let (mut opened, mut replies) = (0, 0);
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
                replies += 1;
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
    assert_eq!((opened, replies), (240, 75));
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
            "auth_oldest_version",
        ];
        if foreign.contains(&capture.case.as_str()) {
            continue;
        }
        let token = capture.request().optional_bytes("token").unwrap();
        let known = capture.known();
        let party = Party::new(&capture);
        let (_, request) = party.begin(known.as_ref());
        // OAEP is not deterministic, so the recorded token stands in for ours.
        let expected = capture.frame("auth.request");
        assert_eq!(request.len(), expected.len(), "{}", capture.case);
        assert_eq!(with_token(&request, token), expected, "{}", capture.case);
        made += 1;
    }
    assert_eq!(made, 111);
}

#[test]
fn every_answer_to_a_sign_in_is_what_the_master_meant() {
    let (mut accepted, mut refused) = (0, 0);
    for capture in captures()
        .iter()
        .filter(|capture| capture.has("auth.reply"))
    {
        let known = capture.known();
        let party = Party::new(capture);
        let answer = party.answer(known.as_ref(), &capture.frame("auth.reply"));
        let proof = if known.is_some() {
            Proof::Signed
        } else {
            Proof::Unverified
        };
        let Some(meant) = refusal(&capture.case, proof) else {
            let session = answer.unwrap();
            assert_eq!(session.master, capture.master());
            assert_eq!(session.publish_port.get(), 4505);
            assert_eq!(session.aes.id(), capture.crypticle("aes").id());
            assert_eq!(session.session.id(), capture.crypticle("session").id());
            accepted += 1;
            continue;
        };
        assert_eq!(answer.unwrap_err(), meant, "{}", capture.case);
        refused += 1;
    }
    assert_eq!((accepted, refused), (66, 56));
}

/// Why the minion is not let in by the answer of this case, if it is not.
fn refusal(case: &str, proof: Proof) -> Option<Refusal> {
    Some(match case {
        "auth_bad_enc_algo" => Refusal::Hint(Hint::BadEncryption),
        // 3008 says this; the others never answer.
        "auth_bad_sig_algo" | "auth_mode_2" => {
            let text = "Some exception handling minion payload".to_owned();
            Refusal::Hint(Hint::Text(text))
        }
        "auth_denied_other_key" | "auth_invalid_id" => Refusal::Rejected(proof),
        "auth_full" | "auth_full_token" => Refusal::Full(proof),
        "auth_old_version" | "auth_oldest_version" => Refusal::Hint(Hint::BadLoad),
        // The file is of SHA-1, and this minion of SHA-224.
        "auth_precomputed_sha224" => Refusal::SignatureRejected,
        "auth_without_pub_sig" => Refusal::SignatureMissing,
        case if case.starts_with("auth_pending") => Refusal::Pending(proof),
        case if case.starts_with("auth_rejected") => Refusal::Rejected(proof),
        _ => return None,
    })
}

#[test]
fn publications_open_in_order_and_only_once() {
    let mut opened = 0;
    for capture in captures() {
        let published = capture.published();
        if published.is_empty() {
            continue;
        }
        let mut publications = capture.publications();
        for (serial, name) in published {
            let body = capture.frame(&name);
            let job = publications.open(&body).unwrap();
            assert_eq!(job.serial, serial);
            means(&job, &capture.json(&name)["load_msgpack"]);
            assert!(publications.open(&body).is_err(), "replayed");
            assert_eq!(publications.last_serial(), Some(serial));
            opened += 1;
        }
    }
    assert_eq!(opened, 75);
}

/// The job says what Python read.
fn means(job: &Publication, json: &Json) {
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    assert_eq!(job.jid.as_str(), text("jid"));
    assert_eq!((&job.user, &job.ret), (&text("user"), &text("ret")));
    let metadata = job.metadata();
    let metadata = metadata.as_ref().unwrap_or(&Value::Nil);
    assert!(same(metadata, &json["metadata"]));
    let target = match text("tgt_type").as_str() {
        "glob" => Target::Glob(text("tgt")),
        "grain" => Target::Grain {
            expression: text("tgt"),
            delimiter: json["delimiter"].as_str().unwrap_or(":").to_owned(),
        },
        "list" => {
            let ids = json["tgt"].as_array().unwrap().iter();
            Target::List(ids.map(|id| id.as_str().unwrap().to_owned()).collect())
        }
        "pcre" => Target::Pcre(text("tgt")),
        other => Target::Other(other.to_owned()),
    };
    assert_eq!(job.target, target);
    let call_is = |call: &Call, name: &Json, arguments: &Json| {
        assert_eq!(Some(call.name.as_str()), name.as_str());
        assert!(same(&Value::Array(call.arguments.clone()), arguments));
    };
    match &job.function {
        Function::One(call) => call_is(call, &json["fun"], &json["arg"]),
        Function::Several(calls) => {
            assert_eq!(calls.len(), json["fun"].as_array().unwrap().len());
            for (at, call) in calls.iter().enumerate() {
                call_is(call, &json["fun"][at], &json["arg"][at]);
            }
        }
    }
}

#[test]
fn requests_are_made_again_byte_for_byte() {
    let mut made = 0;
    for capture in captures() {
        for name in capture.frames() {
            let expected = capture.frame(&name);
            if !name.ends_with(".request")
                || Fields::decode(&expected).unwrap().take("id").is_none()
            {
                continue;
            }
            let sealed = sealed_part(&expected);
            let Ok(load) = capture.crypticle("session").open(&sealed) else {
                assert_eq!(capture.case, "wrong_session");
                continue;
            };
            let mut load = Fields::new(load).unwrap();
            let (now, echo) = (load.unsigned("ts").unwrap(), load.text("nonce").unwrap());
            let Some(command) = command(&mut load) else {
                continue;
            };
            let iv = Iv::new(sealed[..16].try_into().unwrap());
            let requests = Party::new(&capture).requests();
            let request = requests.seal(&command, &nonce(&echo), now, iv).unwrap();
            assert_eq!(request, expected, "{} {name}", capture.case);
            made += 1;
        }
    }
    assert_eq!(made, 45);
}

#[test]
fn replies_open_for_their_own_nonce_and_no_other() {
    let mut opened = 0;
    for capture in captures() {
        for name in capture.frames() {
            let json = capture.json(&name);
            let (Some(echo), false) = (json["nonce"].as_str(), json.get("value_msgpack").is_none())
            else {
                continue;
            };
            let requests = Party::new(&capture).requests();
            let reply = capture.frame(&name);
            let value = requests.open(&reply, nonce(echo)).unwrap();
            assert!(same(&value, &json["value_msgpack"]), "{name}");
            let other = requests.open(&reply, capture.nonce());
            assert_eq!(other, Err(ReplyError::Open(OpenError::Nonce)), "{name}");
            opened += 1;
        }
    }
    assert_eq!(opened, 75);
}

#[test]
fn bad_load_says_to_sign_in_again() {
    let mut refused = 0;
    for capture in captures() {
        if capture.has("call.reply") {
            let reply = capture.frame("call.reply");
            let requests = Party::new(&capture).requests();
            let answer = requests.open(&reply, capture.nonce()).unwrap_err();
            assert_eq!(answer, ReplyError::BadLoad);
            assert!(answer.is_worth_a_sign_in());
            refused += 1;
        }
    }
    assert_eq!(refused, 15);
}

#[test]
fn pings_in_clear_are_made_and_answered_byte_for_byte() {
    for capture in captures().iter().filter(|one| one.has("ping.reply")) {
        assert_eq!(ping().unwrap(), capture.frame("ping.request"));
        assert!(is_pong(&capture.frame("ping.reply")));
    }
}

/// A minion asks for it only to tell its grains, so that this is all that reads one.
#[test]
fn every_pillar_is_sealed_for_the_minion_and_signed_by_the_master() {
    let mut opened = 0;
    for capture in captures().iter().filter(|one| one.has("pillar.reply")) {
        let json = capture.json("pillar.reply");
        let minion = Keypair::from_pem(capture.text("minion_pem"));
        let mut outer = Fields::decode(&capture.frame("pillar.reply")).unwrap();
        let key = outer.bytes("key").unwrap();
        let key = minion.decrypt(capture.algorithms().encryption, &key);
        let key = key.unwrap();
        assert_eq!(key, json["pillar_key"].as_str().unwrap().as_bytes());
        let sealed = outer.bytes("pillar").unwrap();
        let inner = Crypticle::parse(&key).unwrap().open(&sealed).unwrap();
        assert!(same(&inner, &json["pillar_msgpack"]));
        let mut inner = Fields::new(inner).unwrap();
        let data = inner.bytes("data").unwrap();
        let signature = inner.bytes("sig").unwrap();
        let info = Algorithm::Sha1.digest_info(&data);
        let verdict = capture.master().verify_digest_info(&info, &signature);
        assert_eq!(verdict, Ok(()));
        let data = decode(&data).unwrap();
        assert!(same(&data, &json["data_msgpack"]));
        assert_eq!(json["data_msgpack"]["pillar"]["role"], "web");
        opened += 1;
    }
    assert_eq!(opened, 3);
}

/// What a minion says by this load, if this one says it too.
fn command(load: &mut Fields) -> Option<Command> {
    match load.text("cmd").unwrap().as_str() {
        "_minion_event" => {
            // A stock minion's own has it.
            load.take("pretag")?;
            Some(Command::Event {
                tag: load.text("tag").unwrap(),
                data: load.take("data").unwrap(),
            })
        }
        "_pillar" => Some(Command::Pillar {
            grains: load.take("grains").unwrap(),
        }),
        "_return" => Some(Command::Return(Box::new(returned(load)))),
        _ => None,
    }
}

fn returned(load: &mut Fields) -> Return {
    let jid: Jid = load.text("jid").unwrap().parse().unwrap();
    let Some(Value::Array(fun_args)) = load.take("fun_args") else {
        panic!("a list of arguments");
    };
    Return {
        jid,
        fun: load.take("fun").unwrap(),
        fun_args,
        value: load.take("return").unwrap(),
        retcode: load.take("retcode").unwrap(),
        success: load.take("success").unwrap(),
        out: load.optional_text("out").unwrap(),
        user: load.optional_text("user").unwrap(),
        metadata: load.take("metadata"),
        stamp: load.text("_stamp").unwrap(),
    }
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
pub(super) fn sealed_part(frame: &[u8]) -> Vec<u8> {
    match decode(frame).unwrap() {
        Value::Raw(sealed) => sealed,
        map => Fields::new(map).unwrap().bytes("load").unwrap(),
    }
}
