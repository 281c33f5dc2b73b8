//! What the code of 3006.30 does in another way; the rest in `make soak`.

use super::{cases, plain_cases};

plain_cases! {
    aging, V3006;
    keys_that_are_rotated_by_age_are_fetched_one_after_the_other,
    ; soak:
}

plain_cases! {
    as_root, V3006;
    masters_that_deny_the_minions_packets_are_left,
    ; soak:
    masters_behind_a_cut_cable_are_left,
    masters_whose_port_closes_are_left,
    masters_that_have_forgotten_the_connection_are_left,
    a_name_leads_to_whichever_of_its_addresses_answers,
    ipv6_decides_to_which_address_of_a_name_it_goes,
}

cases! {
    changes by changes_signed_per_request PerRequest, V3006;
    a_rotated_key_is_fetched_at_the_next_publication,
    a_restarted_master_is_found_again,
    ; soak:
    a_minion_whose_key_was_deleted_waits_for_the_operator,
    a_full_master_lets_the_minion_in_when_another_leaves,
}

cases! {
    changes by changes_signed_beforehand Precomputed, V3006;
    ; soak:
    a_rotated_key_is_fetched_at_the_next_publication,
    a_minion_whose_key_was_deleted_waits_for_the_operator,
    a_restarted_master_is_found_again,
    a_full_master_lets_the_minion_in_when_another_leaves,
}

plain_cases! {
    failover, V3006;
    killed_masters_are_left_one_after_the_other,
    stopped_masters_are_left_one_after_the_other,
    ; soak:
    killed_masters_with_sha224_are_left_one_after_the_other,
    stopped_masters_with_sha224_are_left_one_after_the_other,
    masters_that_are_no_good_are_passed_over_at_every_position,
    all_masters_are_gone_and_one_comes_back,
    a_flapping_first_master_is_left_alone,
    masters_that_flap_are_left_at_every_position,
    the_first_master_is_gone_back_to,
}

plain_cases! {
    heartbeat, V3006;
    no_publication_is_lost_over_ten_heartbeats,
    ; soak:
    no_publication_is_lost_over_ten_heartbeats_by_salts_default,
}

cases! {
    jobs, V3006;
    jobs_are_answered_as_salt_does,
    ; soak:
    a_target_is_who_it_says,
}

cases! {
    sign_in, V3006;
    a_master_with_a_signature_file_is_verified_and_used,
    ; soak:
    a_master_that_signs_each_answer_is_verified_and_used,
}

cases! {
    sign_in by sign_in_signed_beforehand Precomputed, V3006;
    ; soak:
    a_pending_minion_waits_and_is_let_in_when_it_is_accepted,
    a_rejected_minion_goes_on_asking_and_is_let_in_when_it_is_accepted,
    a_rejection_by_the_only_master_that_is_known_ends_the_minion,
    another_key_for_the_id_is_denied,
}

cases! {
    sign_in by sign_in_signed_per_request PerRequest, V3006;
    ; soak:
    a_pending_minion_waits_and_is_let_in_when_it_is_accepted,
    a_rejected_minion_goes_on_asking_and_is_let_in_when_it_is_accepted,
    a_rejection_by_the_only_master_that_is_known_ends_the_minion,
    another_key_for_the_id_is_denied,
}
