//! The ZMTP client against what libzmq really sends, in any pieces, and against any other bytes.

use std::time::Duration;

use minion::zmtp::{
    COMMAND_LIMIT, Connection, Context, Error, Event, Identity, MESSAGE_LIMIT, PONG_LIMIT,
    Publication, Socket, Version,
};
use proptest::prelude::*;

const ROUTER: &[u8] = include_bytes!("../vectors/zmtp/router.bin");
const PUBLISHER: &[u8] = include_bytes!("../vectors/zmtp/publisher.bin");

const V3_1: Version = Version { major: 3, minor: 1 };
const GREETING: usize = 64;

/// Feeds the pieces one after the other and gives every event, and the error if it ends with one.
fn events<'a>(
    connection: &mut Connection,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Error>) {
    let mut events = Vec::new();
    for piece in pieces {
        connection.receive(piece);
        loop {
            match connection.poll() {
                Ok(Some(event)) => {
                    if event == Event::Ready(V3_1) {
                        // A caller that asks as soon as it may.
                        let _ = connection.request(b"hello");
                    }
                    events.push(event);
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

fn read<'a>(
    socket: Socket,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Error>) {
    events(&mut Connection::new(socket), pieces)
}

fn subscriber() -> Socket {
    Socket::Subscribe(Identity::new(b"minion".to_vec()))
}

/// Our greeting's twin from a peer with this minor version and socket type, and frames.
fn peer(minor: u8, socket_type: &str, frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = ROUTER[..GREETING].to_vec();
    bytes[11] = minor;
    let length = u8::try_from(socket_type.len()).unwrap();
    let body = [
        b"\x05READY\x0bSocket-Type\0\0\0",
        &[length][..],
        socket_type.as_bytes(),
    ]
    .concat();
    bytes.extend(frame(4, &body));
    bytes.extend(frames.concat());
    bytes
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64).to_be_bytes();
    [&[flags | 2], &size[..], body].concat()
}

/// A connection that has shaken hands, and whose first bytes are out.
fn ready(socket: Socket, minor: u8) -> Connection {
    let servers = if socket == Socket::Request {
        "ROUTER"
    } else {
        "PUB"
    };
    let mut connection = Connection::new(socket);
    connection.receive(&peer(minor, servers, &[]));
    assert!(matches!(connection.poll(), Ok(Some(Event::Ready(_)))));
    connection.sent(usize::MAX);
    connection
}

fn error_of(socket: Socket, bytes: &[u8]) -> Option<Error> {
    read(socket, [bytes]).1
}

mod recorded {
    use super::*;

    fn expected() -> [(Socket, &'static [u8], Vec<Event>); 2] {
        let ping = Event::Ping {
            ttl: Duration::from_secs(6),
        };
        let publication = |topic: Option<&[u8]>, payload: &[u8]| {
            Event::Publication(Publication {
                topic: topic.map(<[u8]>::to_vec),
                payload: payload.to_vec(),
            })
        };
        let router = vec![
            Event::Ready(V3_1),
            Event::Reply(vec![b'x'; 300]),
            Event::Pong(Context::new(b"ctx").unwrap()),
            ping.clone(),
            ping.clone(),
        ];
        let publisher = vec![
            Event::Ready(V3_1),
            publication(None, b"one frame"),
            publication(Some(b"broadcast"), &[b'y'; 300]),
            ping.clone(),
            ping,
        ];
        [
            (Socket::Request, ROUTER, router),
            (subscriber(), PUBLISHER, publisher),
        ]
    }

    #[test]
    fn at_once_or_byte_by_byte_the_events_are_the_same() {
        for (socket, bytes, expected) in expected() {
            let whole = read(socket.clone(), [bytes]);
            assert_eq!(whole, (expected.clone(), None));
            assert_eq!(read(socket, bytes.chunks(1)), (expected, None));
        }
    }

    #[test]
    fn cut_anywhere_it_waits_and_loses_nothing() {
        for (socket, bytes, expected) in expected() {
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                let mut connection = Connection::new(socket.clone());
                let (mut seen, error) = events(&mut connection, [head]);
                assert_eq!(error, None);
                assert_eq!(seen, expected[..seen.len()], "{cut}");
                seen.extend(events(&mut connection, [tail]).0);
                assert_eq!(seen, expected, "{cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn in_random_pieces_the_events_are_the_same(
            cuts in prop::collection::vec(0_usize..450, 0..40),
        ) {
            for (socket, bytes, expected) in expected() {
                let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(bytes.len())).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
                prop_assert_eq!(read(socket, pieces), (expected, None));
            }
        }

        #[test]
        fn damaged_it_is_judged_the_same_in_any_pieces(
            at in 0_usize..440, value: u8, size in 1_usize..50,
        ) {
            for (socket, bytes, _) in expected() {
                let mut bytes = bytes.to_vec();
                bytes[at] = value;
                let whole = read(socket.clone(), [&bytes[..]]);
                prop_assert_eq!(read(socket, bytes.chunks(size)), whole);
            }
        }
    }
}

mod sent {
    use super::*;

    #[test]
    fn greeting_and_ready_go_first_and_together() {
        let connection = Connection::new(subscriber());
        let (greeting, ready) = connection.output().split_at(GREETING);
        assert_eq!(greeting[10..16], *b"\x03\x01NULL");
        let metadata = b"\x0bSocket-Type\0\0\0\x03SUB\x08Identity\0\0\0\x06minion";
        assert_eq!(ready[..8], *b"\x04\x2c\x05READY");
        assert_eq!(ready[8..], *metadata);
    }

    #[test]
    fn a_request_follows_an_empty_delimiter() {
        let mut connection = ready(Socket::Request, 1);
        connection.request(b"hello").unwrap();
        assert_eq!(connection.output(), b"\x01\0\0\x05hello");
    }

    #[test]
    fn a_subscription_is_a_command_in_3_1_and_a_message_in_3_0() {
        for (minor, expected) in [(0, &b"\0\x04\x01abc"[..]), (1, b"\x04\x0d\x09SUBSCRIBEabc")] {
            let mut connection = ready(subscriber(), minor);
            connection.subscribe(b"abc").unwrap();
            assert_eq!(connection.output(), expected);
        }
    }

    #[test]
    fn a_ping_is_answered_with_its_context() {
        let mut connection = ready(subscriber(), 1);
        let ping = frame(4, b"\x04PING\0\0sixteen bytes!!!");
        let ttl = Duration::ZERO;
        assert_eq!(
            events(&mut connection, [&ping[..]]),
            (vec![Event::Ping { ttl }], None)
        );
        assert_eq!(connection.output(), b"\x04\x15\x04PONGsixteen bytes!!!");
    }

    #[test]
    fn what_was_sent_in_part_is_not_sent_again() {
        let mut connection = ready(Socket::Request, 1);
        connection.request(b"hello").unwrap();
        connection.sent(4);
        assert_eq!(connection.output(), b"hello");
        connection.sent(5);
        assert_eq!(connection.output(), b"");
    }

    #[test]
    fn nothing_is_sent_out_of_turn() {
        let mut early = Connection::new(Socket::Request);
        let ping = |connection: &mut Connection| connection.ping(Duration::ZERO, &Context::from(1));
        assert_eq!(early.request(b""), Err(Error::OutOfTurn));
        assert_eq!(ping(&mut early), Err(Error::OutOfTurn));
        let mut request = ready(Socket::Request, 1);
        assert_eq!(request.subscribe(b""), Err(Error::OutOfTurn));
        assert_eq!(request.request(b""), Ok(()));
        assert_eq!(request.request(b""), Err(Error::OutOfTurn));
        let mut subscriber = ready(subscriber(), 1);
        assert_eq!(subscriber.request(b""), Err(Error::OutOfTurn));
        assert_eq!(ping(&mut subscriber), Ok(()));
    }
}

mod tolerated {
    use super::*;

    #[test]
    fn unknown_commands_are_ignored() {
        let unknown = [frame(4, b"\x04JOINgroup"), frame(4, b"\x09SUBSCRIBE")].concat();
        let bytes = peer(1, "PUB", &[&unknown, &frame(0, b"job")]);
        let (events, error) = read(subscriber(), [&bytes[..]]);
        assert_eq!((events.len(), error), (2, None));
    }

    #[test]
    fn a_ping_may_stand_between_the_frames_of_a_message() {
        let frames = [
            frame(1, b"topic"),
            frame(4, b"\x04PING\0\0"),
            frame(0, b"job"),
        ]
        .concat();
        let (events, error) = read(subscriber(), [&peer(1, "XPUB", &[&frames])[..]]);
        assert_eq!((events.len(), error), (3, None));
        assert!(matches!(&events[2], Event::Publication(job) if job.payload == b"job"));
    }

    #[test]
    fn a_peer_that_does_not_name_its_socket_type_is_accepted() {
        let bytes = [&ROUTER[..GREETING], &frame(4, b"\x05READY")].concat();
        assert_eq!(
            read(Socket::Request, [&bytes[..]]),
            (vec![Event::Ready(V3_1)], None)
        );
    }

    #[test]
    fn a_message_of_exactly_the_limit_is_taken() {
        let topic = vec![1; 1000];
        let payload = vec![2; MESSAGE_LIMIT - topic.len()];
        let bytes = peer(1, "PUB", &[&frame(1, &topic), &frame(0, &payload)]);
        let (events, error) = read(subscriber(), bytes.chunks(16 << 10));
        assert_eq!((events.len(), error), (2, None));
    }
}

mod refused {
    use super::*;

    #[test]
    fn the_wrong_port_is_named_by_its_socket_type() {
        let error = error_of(subscriber(), &peer(1, "ROUTER", &[]));
        assert_eq!(error, Some(Error::SocketType("ROUTER".to_owned())));
        let error = error_of(Socket::Request, &peer(1, "PUB", &[]));
        assert_eq!(error, Some(Error::SocketType("PUB".to_owned())));
    }

    #[test]
    fn a_peers_error_is_passed_on() {
        let bytes = [&ROUTER[..GREETING], &frame(4, b"\x05ERROR\x04busy")].concat();
        let refused = Some(Error::Refused("busy".to_owned()));
        assert_eq!(error_of(Socket::Request, &bytes), refused);
    }

    #[test]
    fn the_handshake_is_one_ready_and_nothing_else() {
        let greeting = &ROUTER[..GREETING];
        for (frames, expected) in [
            (frame(0, b"job"), Error::MessageInHandshake),
            (
                frame(4, b"\x04PING\0\0"),
                Error::UnexpectedCommand("PING".to_owned()),
            ),
            (
                frame(4, b"\x05HELLO"),
                Error::UnexpectedCommand("HELLO".to_owned()),
            ),
        ] {
            let bytes = [greeting, &frames].concat();
            assert_eq!(error_of(subscriber(), &bytes), Some(expected));
        }
        let twice = peer(1, "PUB", &[&frame(4, b"\x05READY")]);
        let expected = Error::UnexpectedCommand("READY".to_owned());
        assert_eq!(error_of(subscriber(), &twice), Some(expected));
    }

    #[test]
    fn a_size_beyond_the_limit_is_refused_by_its_header() {
        let size = |flags: u8, size: u64| [&[flags][..], &size.to_be_bytes()].concat();
        let limit = MESSAGE_LIMIT as u64;
        let topic = frame(1, b"topic");
        for (header, expected) in [
            (size(2, limit + 1), Error::MessageTooLong(limit + 1)),
            (size(2, u64::MAX), Error::MessageTooLong(u64::MAX)),
            (
                [topic, size(2, limit)].concat(),
                Error::MessageTooLong(limit + 5),
            ),
            (
                size(6, COMMAND_LIMIT as u64 + 1),
                Error::CommandTooLong(4097),
            ),
        ] {
            let bytes = peer(1, "PUB", &[&header]);
            assert_eq!(error_of(subscriber(), &bytes), Some(expected));
        }
    }

    #[test]
    fn three_frames_are_none_of_salts_messages() {
        let frames = [frame(1, b"a"), frame(1, b"b")].concat();
        let error = error_of(subscriber(), &peer(1, "PUB", &[&frames]));
        assert_eq!(error, Some(Error::TooManyFrames));
    }

    #[test]
    fn a_reply_needs_a_delimiter_and_a_request() {
        let delimited = [frame(1, b""), frame(0, b"reply")].concat();
        for (frames, expected) in [
            (frame(0, b"reply"), Error::NoDelimiter),
            (
                [frame(1, b"x"), frame(0, b"reply")].concat(),
                Error::NoDelimiter,
            ),
            ([&delimited[..], &delimited].concat(), Error::UnaskedReply),
        ] {
            let bytes = peer(1, "ROUTER", &[&frames]);
            assert_eq!(error_of(Socket::Request, &bytes), Some(expected));
        }
    }

    #[test]
    fn a_flood_of_pings_is_only_one_if_the_answers_stay() {
        let ping = frame(4, b"\x04PING\0\0sixteen bytes!!!");
        let mut patient = ready(subscriber(), 1);
        let mut impatient = ready(subscriber(), 1);
        for _ in 0..PONG_LIMIT {
            assert_eq!(events(&mut patient, [&ping[..]]).1, None);
            patient.sent(patient.output().len());
        }
        let flood = ping.repeat(PONG_LIMIT);
        let (answered, error) = events(&mut impatient, [&flood[..]]);
        assert_eq!(error, Some(Error::PingFlood));
        assert_eq!(answered.len(), PONG_LIMIT / 23);
        assert!(impatient.output().len() <= PONG_LIMIT + 23);
    }

    #[test]
    fn an_error_is_told_again_and_nothing_is_sent_after_it() {
        let mut connection = Connection::new(Socket::Request);
        assert_eq!(
            events(&mut connection, [&b"HTTP/1.1"[..]]).1,
            Some(Error::NotZmtp)
        );
        assert_eq!(events(&mut connection, [ROUTER]).1, Some(Error::NotZmtp));
        assert_eq!(connection.request(b""), Err(Error::NotZmtp));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_pieces_make_no_difference(
        bytes: Vec<u8>, handshake: bool, request: bool, size in 1_usize..9,
    ) {
        let (socket, servers) = if request {
            (Socket::Request, "REP")
        } else {
            (subscriber(), "XPUB")
        };
        let bytes = if handshake { peer(1, servers, &[&bytes]) } else { bytes };
        let whole = read(socket.clone(), [&bytes[..]]);
        prop_assert_eq!(read(socket, bytes.chunks(size)), whole);
    }

    #[test]
    fn any_frames_after_the_handshake_are_events_or_an_error(
        frames in prop::collection::vec((0_u8..8, any::<Vec<u8>>()), 0..20), size in 1_usize..99,
    ) {
        let frames: Vec<u8> = frames.iter().flat_map(|(flags, body)| frame(*flags, body)).collect();
        let bytes = peer(1, "PUB", &[&frames]);
        let whole = read(subscriber(), [&bytes[..]]);
        prop_assert_eq!(read(subscriber(), bytes.chunks(size)), whole);
    }
}
