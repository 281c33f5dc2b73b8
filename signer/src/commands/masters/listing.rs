//! Masters in salt-key's groups and words.

use std::fmt::Write;

use serde_json::{Value, json};

use super::letters::Group;
use crate::client::{KeyStatus, Master, MasterKey, WrongKey};
use crate::terminal::Paint;

/// salt-key's four groups in salt-key's order, and the ones that only masters have.
const GROUPS: [(KeyStatus, &str, &str); 5] = [
    (KeyStatus::Accepted, "Accepted Keys:", "accepted"),
    (KeyStatus::Denied, "Denied Keys:", "denied"),
    (KeyStatus::Pending, "Unaccepted Keys:", "unaccepted"),
    (KeyStatus::Rejected, "Rejected Keys:", "rejected"),
    (KeyStatus::Revoked, "Revoked Keys:", "revoked"),
];
const UNUSUAL: [(KeyStatus, &str, &str); 2] = [
    (KeyStatus::Quarantined, "Quarantined Keys:", "quarantined"),
    (KeyStatus::Unknown, "Other Keys:", "other"),
];

/// What `salt-key -L` would print.
///
/// A denied key stands with its own fingerprint and the one of the accepted key: that is the
/// question that it raises.
pub(super) fn list(masters: &[Master]) -> Result<String, WrongKey> {
    let mut text = String::new();
    for (status, title, _) in GROUPS {
        line(&mut text, title);
        group(&mut text, masters, status)?;
    }
    for (status, title, _) in UNUSUAL {
        if keys(masters, status).next().is_some() {
            line(&mut text, title);
            group(&mut text, masters, status)?;
        }
    }
    Ok(text.trim_end().to_owned())
}

fn group(text: &mut String, masters: &[Master], status: KeyStatus) -> Result<(), WrongKey> {
    if status == KeyStatus::Revoked {
        for master in masters.iter().filter(|master| master.barred) {
            line(text, &format!("{} (the whole id)", master.id));
        }
    }
    for (master, key) in keys(masters, status) {
        if status == KeyStatus::Revoked && master.barred {
            continue;
        }
        line(text, master.id.as_str());
        if status == KeyStatus::Denied {
            line(text, &format!("  denied:    {}", key.fingerprints()?.salt));
            for accepted in of(master, KeyStatus::Accepted) {
                line(
                    text,
                    &format!("  accepted:  {}", accepted.fingerprints()?.salt),
                );
            }
        }
    }
    Ok(())
}

/// What `salt-key -l GROUP` would print.
pub(super) fn one_group(masters: &[Master], group: Group) -> Result<String, WrongKey> {
    let mut text = String::new();
    let status = status(group);
    for (known, title, _) in GROUPS {
        if known == status {
            line(&mut text, title);
            self::group(&mut text, masters, status)?;
        }
    }
    Ok(text.trim_end().to_owned())
}

/// The same as JSON.
pub(super) fn group_document(masters: &[Master], group: Group) -> Result<Value, WrongKey> {
    let name = word(status(group));
    let all = list_document(masters)?;
    Ok(json!({ name: all.get(name) }))
}

/// What `salt-key -F` would print: each group with a line for each key, under the name of the
/// fingerprint that `master_finger` uses.
pub(super) fn fingerprints(masters: &[Master]) -> Result<String, WrongKey> {
    let mut text = String::new();
    for (status, title, _) in GROUPS.into_iter().chain(UNUSUAL) {
        let mut found = keys(masters, status).peekable();
        if found.peek().is_none() {
            continue;
        }
        line(&mut text, title);
        for (master, key) in found {
            let print = match key.public_key {
                Some(_) => key.fingerprints()?.salt,
                None => format!("sha256 {}", key.sha256),
            };
            line(&mut text, &format!("{}:  {print}", master.id));
        }
    }
    Ok(text.trim_end().to_owned())
}

/// The list in salt-key's colours: each group's title, and what is under it.
pub(super) fn painted(list: &str) -> String {
    let mut paint = None;
    let lines = list.lines().map(|line| {
        let title = GROUPS.into_iter().chain(UNUSUAL);
        let mut title = title.filter(|(_, title, _)| *title == line);
        if let Some((status, ..)) = title.next() {
            paint = Some(colour(status));
        }
        paint.map_or_else(|| line.to_owned(), |paint| paint.on(line).to_string())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `salt/output/key.py` of Salt 3008.5; it has no revoked keys.
const fn colour(status: KeyStatus) -> Paint {
    match status {
        KeyStatus::Accepted => Paint::Green,
        KeyStatus::Denied | KeyStatus::Quarantined => Paint::Magenta,
        KeyStatus::Pending => Paint::Red,
        KeyStatus::Rejected => Paint::Blue,
        KeyStatus::Revoked | KeyStatus::Unknown => Paint::Yellow,
    }
}

const fn status(group: Group) -> KeyStatus {
    match group {
        Group::Accepted => KeyStatus::Accepted,
        Group::Denied => KeyStatus::Denied,
        Group::Rejected => KeyStatus::Rejected,
        Group::Revoked => KeyStatus::Revoked,
        Group::Unaccepted => KeyStatus::Pending,
    }
}

/// One master with everything that there is to compare.
pub(super) fn show(master: &Master) -> Result<String, WrongKey> {
    let mut text = String::new();
    let barred = if master.barred {
        ", revoked as a whole"
    } else {
        ""
    };
    line(
        &mut text,
        &format!("{} (generation {}{barred})", master.id, master.generation),
    );
    for key in &master.keys {
        line(&mut text, &describe(key)?);
    }
    Ok(text.trim_end().to_owned())
}

/// One key with the three fingerprints that people compare.
pub(super) fn describe(key: &MasterKey) -> Result<String, WrongKey> {
    let status = word(key.status);
    let (sha256, since) = (key.sha256, key.since);
    if key.public_key.is_none() {
        let unseen = match key.status {
            KeyStatus::Pending => ", not shown yet",
            _ => "",
        };
        return Ok(format!(
            "  {status} since {since}{unseen}\n    key    {sha256}"
        ));
    }
    let prints = key.fingerprints()?;
    Ok(format!(
        "  {status} since {since}\n    key    {sha256}\n    salt   {}\n    file   {}\n    spki   {}",
        prints.salt, prints.file, prints.spki
    ))
}

/// The list as JSON: a list of keys for each group.
pub(super) fn list_document(masters: &[Master]) -> Result<Value, WrongKey> {
    let mut document = serde_json::Map::new();
    for (status, _, name) in GROUPS.into_iter().chain(UNUSUAL) {
        let entries: Vec<Value> = keys(masters, status)
            .map(|(master, key)| {
                let mut entry = entry(key)?;
                if let Some(object) = entry.as_object_mut() {
                    object.insert("id".to_owned(), json!(master.id));
                }
                Ok(entry)
            })
            .collect::<Result<_, WrongKey>>()?;
        document.insert(name.to_owned(), Value::Array(entries));
    }
    let barred = masters.iter().filter(|master| master.barred);
    let barred: Vec<_> = barred.map(|master| &master.id).collect();
    document.insert("revoked_ids".to_owned(), json!(barred));
    Ok(Value::Object(document))
}

/// One master as JSON.
pub(super) fn document(master: &Master) -> Result<Value, WrongKey> {
    let keys: Vec<Value> = master.keys.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(json!({
        "id": master.id,
        "generation": master.generation,
        "barred": master.barred,
        "keys": keys,
    }))
}

fn entry(key: &MasterKey) -> Result<Value, WrongKey> {
    let fingerprints = key
        .public_key
        .as_ref()
        .map(|_| key.fingerprints())
        .transpose()?;
    Ok(json!({
        "sha256": key.sha256.to_string(),
        "status": key.status,
        "since": key.since,
        "fingerprints": fingerprints,
    }))
}

fn keys(masters: &[Master], status: KeyStatus) -> impl Iterator<Item = (&Master, &MasterKey)> {
    masters
        .iter()
        .flat_map(move |master| of(master, status).map(move |key| (master, key)))
}

fn of(master: &Master, status: KeyStatus) -> impl Iterator<Item = &MasterKey> {
    master.keys.iter().filter(move |key| key.status == status)
}

fn word(status: KeyStatus) -> &'static str {
    GROUPS
        .into_iter()
        .chain(UNUSUAL)
        .find(|(known, ..)| *known == status)
        .map_or("other", |(_, _, word)| word)
}

fn line(text: &mut String, line: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use minion::verify::PublicKey;
    use openssl::rsa::Rsa;

    use super::*;

    fn key(status: KeyStatus) -> MasterKey {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        let key = PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap();
        MasterKey {
            sha256: key.hash(),
            status,
            since: "2026-11-22T02:25:06Z".parse().unwrap(),
            public_key: Some(key.canonical().to_owned()),
        }
    }

    fn master(id: &str, keys: Vec<MasterKey>) -> Master {
        Master {
            id: id.parse().unwrap(),
            generation: 1,
            barred: false,
            keys,
        }
    }

    #[test]
    fn no_masters_look_as_no_minions_do_in_salt_key() {
        assert_eq!(
            list(&[]).unwrap(),
            "Accepted Keys:\nDenied Keys:\nUnaccepted Keys:\nRejected Keys:\nRevoked Keys:"
        );
    }

    #[test]
    fn each_group_has_its_colour_to_its_end() {
        assert_eq!(
            painted("Accepted Keys:\nm1\nRejected Keys:"),
            "\u{1b}[92mAccepted Keys:\u{1b}[0m\n\u{1b}[92mm1\u{1b}[0m\n\u{1b}[94mRejected Keys:\u{1b}[0m"
        );
    }

    #[test]
    fn a_denied_key_stands_beside_the_accepted_one() {
        let keys = vec![key(KeyStatus::Accepted), key(KeyStatus::Denied)];
        let prints: Vec<String> = keys
            .iter()
            .map(|key| key.fingerprints().unwrap().salt)
            .collect();
        let mut barred = master("m3", vec![key(KeyStatus::Revoked)]);
        barred.barred = true;
        let masters = [
            master("m1", keys),
            master("m2", vec![key(KeyStatus::Pending)]),
            barred,
        ];
        let expected = format!(
            "Accepted Keys:\nm1\nDenied Keys:\nm1\n  denied:    {}\n  accepted:  {}\nUnaccepted Keys:\nm2\n\
             Rejected Keys:\nRevoked Keys:\nm3 (the whole id)",
            prints[1], prints[0]
        );
        assert_eq!(list(&masters).unwrap(), expected);
    }

    #[test]
    fn a_key_that_is_not_the_one_it_is_named_is_not_shown() {
        let mut lying = key(KeyStatus::Pending);
        lying.public_key = key(KeyStatus::Pending).public_key;
        let masters = [master("m1", vec![lying])];
        assert!(show(&masters[0]).is_err());
        assert!(list_document(&masters).is_err());
        assert!(document(&masters[0]).is_err());
    }

    #[test]
    fn json_has_every_group_even_if_it_is_empty() {
        let document = list_document(&[master("m1", vec![key(KeyStatus::Pending)])]).unwrap();
        assert_eq!(document["unaccepted"][0]["id"], "m1");
        assert_eq!(document["accepted"], json!([]));
        assert_eq!(document["revoked_ids"], json!([]));
    }
}
