//! Neither end of the worker's socket can be confused by the other: any bytes, in any pieces, give
//! frames or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signer::hsm::protocol::{Decoder, Order, Report};

fuzz_target!(|input: (usize, &[u8])| {
    let (piece, mut rest) = input;
    let piece = piece % 4096 + 1;
    let mut decoder = Decoder::default();
    while !rest.is_empty() {
        let space = decoder.space();
        let count = piece.min(rest.len()).min(space.len());
        assert!(count > 0, "a drained decoder has space");
        let (now, later) = rest.split_at(count);
        space[..count].copy_from_slice(now);
        decoder.filled(count);
        rest = later;
        loop {
            match decoder.next() {
                Ok(Some(frame)) => check(frame.body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn check(body: &[u8]) {
    if let Ok(order) = Order::parse(body) {
        let mut out = Vec::new();
        if order.append(7, &mut out).is_ok() {
            assert_eq!(&out[8..], body);
        }
    }
    if let Ok(report) = Report::parse(body) {
        let mut out = Vec::new();
        if report.append(7, &mut out).is_ok() {
            assert_eq!(&out[8..], body);
        }
    }
}
