//! The codec: limits, the dialect, and that nothing that comes in makes it panic.

use minion::wire::msgpack::{
    DecodeError, EncodeError, FieldError, Fields, MAX_BYTES, MAX_DEPTH, MAX_ITEMS, Value, decode,
    encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..512)) {
        if let Ok(value) = decode(&bytes) {
            prop_assert!(encode(&value).unwrap().len() <= bytes.len() * 2);
        }
    }

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let bytes = encode(&value).unwrap();
        prop_assert_eq!(decode(&bytes), Ok(value));
    }

    #[test]
    fn every_truncation_is_refused(value in value()) {
        let bytes = encode(&value).unwrap();
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..length]), Err(DecodeError::Truncated));
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u16>().prop_map(|number| Value::from(u64::from(number))),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(|number| Value::from(i64::from(number))),
        (-1e300..1e300).prop_map(Value::Float),
        vec(any::<u8>(), 0..300).prop_map(Value::from),
        (any::<i8>(), vec(any::<u8>(), 0..40)).prop_map(|(k, bytes)| Value::Extension(k, bytes)),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

#[test]
fn integers_are_written_in_the_shortest_form() {
    for (number, hex) in [
        (0_i64, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65_536, "ce00010000"),
        (1 << 32, "cf0000000100000000"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-128, "d080"),
        (-129, "d1ff7f"),
        (-32_769, "d2ffff7fff"),
        (i64::MIN, "d38000000000000000"),
    ] {
        let bytes = encode(&number.into()).unwrap();
        assert_eq!(hex::encode(&bytes), hex, "{number}");
        assert_eq!(decode(&bytes), Ok(number.into()), "{number}");
    }
}

#[test]
fn text_and_bytes_are_one_family_and_str8_and_bin_are_read_but_not_written() {
    let text = Value::from(&[b'x'; 32][..]);
    let written = encode(&text).unwrap();
    assert_eq!(&written[..3], [0xda, 0, 32], "no str8, as Salt writes it");
    for marker in [
        &[0xd9, 32][..],
        &[0xc4, 32],
        &[0xc5, 0, 32],
        &[0xc6, 0, 0, 0, 32],
    ] {
        assert_eq!(decode(&[marker, &[b'x'; 32]].concat()), Ok(text.clone()));
    }
    assert_eq!(
        decode(&[0xa2, 0xff, 0xfe]),
        Ok(Value::from(&[0xff, 0xfe][..]))
    );
}

#[test]
fn a_length_is_never_believed() {
    for bomb in [
        &[0xdb, 0xff, 0xff, 0xff, 0xff][..],
        &[0xc6, 0xff, 0xff, 0xff, 0xff, 0],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 0],
        &[0xdf, 0xff, 0xff, 0xff, 0xff, 0],
        &[0xdf, 0x80, 0, 0, 0, 0],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 0, 0],
    ] {
        assert_eq!(decode(bomb), Err(DecodeError::Truncated));
    }
}

#[test]
fn nesting_ends_at_the_limit_in_both_directions() {
    let nested = |depth| [vec![0x91; depth], vec![0xc0]].concat();
    let deepest = decode(&nested(MAX_DEPTH)).unwrap();
    assert_eq!(decode(&nested(MAX_DEPTH + 1)), Err(DecodeError::TooDeep));
    assert_eq!(decode(&nested(100_000)), Err(DecodeError::TooDeep));
    assert_eq!(encode(&deepest), Ok(nested(MAX_DEPTH)));
    assert_eq!(
        encode(&Value::Array(vec![deepest])),
        Err(EncodeError::TooDeep)
    );
}

#[test]
fn the_number_of_values_is_bounded_over_all_levels() {
    let list = |items: usize| {
        let length = u32::try_from(items).unwrap().to_be_bytes();
        [&[0xdd][..], &length, &vec![0; items]].concat()
    };
    assert!(decode(&list(MAX_ITEMS - 1)).is_ok());
    assert_eq!(decode(&list(MAX_ITEMS)), Err(DecodeError::TooMany));
    let half = list(MAX_ITEMS / 2);
    let twice = [&[0x92][..], &half, &half].concat();
    assert_eq!(decode(&twice), Err(DecodeError::TooMany));
}

#[test]
fn a_message_has_one_value_and_a_maximal_length() {
    assert_eq!(decode(&[]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[0xc0, 0xc0]), Err(DecodeError::Trailing));
    assert_eq!(decode(&[0xc1]), Err(DecodeError::UnusedMarker));
    assert_eq!(
        decode(&vec![0xc0; MAX_BYTES + 1]),
        Err(DecodeError::TooLong)
    );
}

#[test]
fn fields_are_named_once_and_typed() {
    let once = |value| Fields::new(Value::map([("a", value)])).unwrap();
    assert_eq!(once(7_u64.into()).unsigned("a"), Ok(7));
    assert_eq!(
        once((-7_i64).into()).unsigned("a"),
        Err(FieldError::Wrong("a"))
    );
    assert_eq!(once("x".into()).text("a"), Ok("x".to_owned()));
    assert_eq!(
        once(vec![0xff].into()).text("a"),
        Err(FieldError::Wrong("a"))
    );
    assert_eq!(once("x".into()).text("b"), Err(FieldError::Missing("b")));
    assert_eq!(once(Value::Nil).bytes("a"), Err(FieldError::Wrong("a")));
    let twice = Value::map([("a", Value::Nil), ("a", Value::Nil)]);
    assert_eq!(Fields::new(twice), Err(FieldError::Twice));
    assert_eq!(Fields::new(Value::Nil), Err(FieldError::NotMap));
    assert_eq!(
        Fields::new(Value::Map(vec![(1_u64.into(), Value::Nil)])),
        Err(FieldError::NotText)
    );
    assert_eq!(
        Fields::decode(&[0xc1]),
        Err(FieldError::Decode(DecodeError::UnusedMarker))
    );
}
