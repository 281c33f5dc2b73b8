//! A log daemon that listens, one that is away, and one that stands still.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::audit::Record;

#[test]
fn a_sink_is_read_as_it_is_documented() {
    let own = |path: &str| PathBuf::from(path);
    for (text, sink) in [
        ("auto", Sink::Auto),
        ("log", Sink::Log),
        ("journal", Sink::Journal(own(JOURNAL))),
        ("syslog", Sink::Syslog(own("/dev/log"))),
        ("journal:/x/y", Sink::Journal(own("/x/y"))),
        ("syslog:/var/run/log", Sink::Syslog(own("/var/run/log"))),
    ] {
        assert_eq!(Sink::parse(text), Ok(sink), "{text}");
    }
    for text in [
        "",
        "Journal",
        "syslog:",
        "syslog:relative",
        "log:/x",
        "auto:/x",
    ] {
        assert_eq!(Sink::parse(text), Err(UnknownSink), "{text}");
    }
}

#[tokio::test]
async fn the_journal_gets_each_head_in_fields_of_its_own() {
    let place = Place::new();
    let daemon = place.listen();
    let (heads, follower) = place.follow(Sink::Journal(place.path()), Some(head(1)));
    heads.send(head(2)).unwrap();
    assert_eq!(follower.finish().await, None);
    for (seq, message) in [(1, "audit head found"), (2, "audit head")] {
        let text = receive(&daemon).await;
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .map(|line| line.split_once('=').unwrap())
            .collect();
        let Head { hash, .. } = head(seq);
        let line = format!("{message} seq={seq} hash={hash} store={STORE}");
        assert_eq!(fields["MESSAGE"], line);
        assert_eq!(fields["MASTERSIGN_AUDIT_SEQ"], seq.to_string());
        assert_eq!(fields["MASTERSIGN_AUDIT_HASH"], hash.to_string());
        assert_eq!(fields["MASTERSIGN_STORE"], STORE.to_string());
        assert_eq!(fields["SYSLOG_IDENTIFIER"], "mastersign");
        assert_eq!(fields["PRIORITY"], "5");
        assert!(fields["MESSAGE_ID"].parse::<Uuid>().is_ok());
        assert!(text.ends_with('\n'));
    }
}

#[tokio::test]
async fn syslog_gets_each_head_as_a_line() {
    let place = Place::new();
    let daemon = place.listen();
    let (heads, follower) = place.follow(Sink::Syslog(place.path()), None);
    heads.send(head(7)).unwrap();
    assert_eq!(follower.finish().await, None);
    let Head { hash, .. } = head(7);
    let process = std::process::id();
    let line = format!("<85>mastersign[{process}]: audit head seq=7 hash={hash} store={STORE}");
    assert_eq!(receive(&daemon).await, line);
}

#[tokio::test]
async fn what_could_not_be_told_is_said_and_the_newest_is_told_when_it_can_be() {
    let place = Place::new();
    let (heads, follower) = place.follow(Sink::Syslog(place.path()), None);
    let mut problem = follower.problem();
    heads.send(head(1)).unwrap();
    heads.send(head(2)).unwrap();
    let said = problem.wait_for(Option::is_some).await.unwrap().clone();
    let said = said.unwrap();
    assert!(said.contains(&place.path().display().to_string()), "{said}");

    let daemon = place.listen();
    problem.wait_for(Option::is_none).await.unwrap();
    let told = receive(&daemon).await;
    assert!(told.contains("seq=2 "), "{told}");
    drop(daemon);
    std::fs::remove_file(place.path()).unwrap();

    // A daemon that was restarted has another socket under the name.
    let daemon = place.listen();
    heads.send(head(3)).unwrap();
    assert_eq!(follower.finish().await, None);
    assert!(receive(&daemon).await.contains("seq=3 "));
}

#[tokio::test]
async fn a_daemon_that_stands_still_holds_up_nobody() {
    let place = Place::new();
    let _deaf = place.listen();
    let (heads, follower) = place.follow(Sink::Journal(place.path()), None);
    let mut problem = follower.problem();
    // Far more than its queue takes and ours keeps; the sender never waits.
    for seq in 0..10_000 {
        heads.send(head(seq)).unwrap();
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let said = problem.wait_for(Option::is_some).await.unwrap().clone();
    assert!(said.unwrap().contains("it takes nothing more"));
}

/// A place for a socket.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("socket")
    }

    fn listen(&self) -> UnixDatagram {
        UnixDatagram::bind(self.path()).unwrap()
    }

    fn follow(&self, sink: Sink, found: Option<Head>) -> (broadcast::Sender<Head>, Follower) {
        let (sender, heads) = broadcast::channel(16);
        let hurried = Pace {
            again: Duration::from_millis(20),
            patience: Duration::from_millis(20),
        };
        let follower = Follower::at_pace(hurried, sink, STORE, found, heads);
        (sender, follower)
    }
}

async fn receive(daemon: &UnixDatagram) -> String {
    let mut datagram = [0; 4096];
    let length = daemon.recv(&mut datagram).await.unwrap();
    String::from_utf8(datagram[..length].to_vec()).unwrap()
}

fn head(seq: u64) -> Head {
    Head {
        seq,
        hash: Record::hash(&seq.to_be_bytes()),
    }
}

const STORE: Uuid = Uuid::from_u128(5);
