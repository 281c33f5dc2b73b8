//! The cells of the matrix by name: a row is a module with a test for each state of contact.

use super::scene::Contact;
use super::{algorithm, peer, pem, publication, resource, sign_in};

macro_rules! rows {
    ($($row:ident: $attack:path;)*) => {
        const ROWS: &[&str] = &[$(stringify!($row)),*];

        $(mod $row {
            use super::*;

            #[tokio::test]
            async fn first_contact() {
                $attack(Contact::First).await;
            }

            #[tokio::test]
            async fn known_master() {
                $attack(Contact::Known).await;
            }

            #[tokio::test]
            async fn changed_master() {
                $attack(Contact::Changed).await;
            }
        })*
    };
}

rows! {
    reply_unsigned: sign_in::reply_unsigned;
    pub_sig_missing: sign_in::pub_sig_missing;
    pub_sig_of_other_key: sign_in::pub_sig_of_other_key;
    pub_sig_bit_flipped: sign_in::pub_sig_bit_flipped;
    pub_sig_by_retired_signer: sign_in::pub_sig_by_retired_signer;
    master_revoked: sign_in::master_revoked;
    reply_replayed: sign_in::reply_replayed;
    nonce_wrong: sign_in::nonce_wrong;
    outer_sig_wrong: sign_in::outer_sig_wrong;
    sig_algo_changed: algorithm::sig_algo_changed;
    enc_algo_changed: algorithm::enc_algo_changed;
    version_lower: sign_in::version_lower;
    session_missing: sign_in::session_missing;
    token_wrong: sign_in::token_wrong;
    aes_wrong: sign_in::aes_wrong;
    preamble_in_pem: pem::preamble_in_pem;
    line_ends_in_pem: pem::line_ends_in_pem;
    other_kind_of_pem: pem::other_kind_of_pem;
    two_pem_blocks: pem::two_pem_blocks;
    reply_of_other_peer: peer::reply_of_other_peer;
    full_unsigned: sign_in::full_unsigned;
    map_instead_of_bytes: sign_in::map_instead_of_bytes;

    frame_damaged: publication::frame_damaged;
    padding_lax: publication::padding_lax;
    serial_wrong: publication::serial_wrong;
    publication_unsigned: publication::unsigned;
    publication_by_other_master: publication::by_other_master;
    target_other: publication::target_other;

    msgpack_bomb: resource::msgpack_bomb;
    huge_frame: resource::huge_frame;
    trickle: resource::trickle;
    reply_late: resource::reply_late;
    two_replies: resource::two_replies;
}

#[test]
fn the_matrix_is_the_one_in_the_documentation() {
    let page = include_str!("../../../../docs/threat-model.md");
    let (_, matrix) = page.split_once("### The attack matrix").unwrap();
    let documented = matrix
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let mut documented: Vec<_> = documented.map(|(_, row)| row).collect();
    let mut rows = ROWS.to_vec();
    documented.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, documented);
    assert_eq!(rows.len(), 33);
}
