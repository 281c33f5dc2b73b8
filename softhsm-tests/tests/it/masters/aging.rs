//! A master whose AES key has an age.
//!
//! Only 3006.30 looks at it (`salt/master.py`, `Maintenance.handle_key_rotate`); 3007.17 and 3008.5 do
//! with a `cluster_id` alone. The session key of each minion is renewed by the same option.

use super::*;

/// Each rotation is one more sign-in, at the first publication under the new key, which is answered.
pub(super) fn keys_that_are_rotated_by_age_are_fetched_one_after_the_other(version: Version) {
    let stage = stage(version);
    let master = stage.aging(8).unwrap();
    let host = Host::of(&stage, Algorithm::Sha1);
    let console = master.console().unwrap();
    let minion = host.start_accepted(&master, &[("master_alive_interval", "3600")]);
    let mut signed_in = minion.log().count(SIGNED_IN);
    assert_eq!(signed_in, 1);
    for _ in 0..2 {
        let mark = console.events().len();
        let rotated = r#"event key {"rotate_aes_key": true"#;
        console.events().wait_for_after(mark, rotated).unwrap();
        expect_answer(&minion, &master);
        let now = minion.log().count(SIGNED_IN);
        assert!(now > signed_in, "{}", minion.log().text());
        signed_in = now;
    }
    // None of it was a loss.
    let lost = format!("Connection to master {} lost", master.address());
    assert_eq!(minion.log().count(&lost), 0, "{}", minion.log().text());
}
