//! The scenarios of the TUF conformance suite, and some more, against kf's own trust code.
//!
//! Each test has a repository in memory, served over HTTP from this machine, and a user whose every refresh acts like
//! a new process. The user is `client`, which is also the program that the suite itself runs: `cargo xtask conformance`.
//! The clock is injected here. There are no expected failures.
//!
//! | scenario of the suite | test |
//! |---|---|
//! | `basic_refresh_requests` | [`refresh::refresh_requests_each_role_once_in_order`] |
//! | `basic_refresh_trusted_data`, `metadata_bytes_match` | [`refresh::trusted_metadata_is_stored_as_it_was_served`] |
//! | `implicit_refresh` | [`refresh::download_refreshes_first`] |
//! | `invalid_initial_root`, `unsigned_initial_root` | [`refresh::invalid_trusted_root_requests_nothing`] |
//! | `unsigned_metadata` | [`refresh::role_without_signature_is_refused_and_those_before_are_trusted`] |
//! | `url_and_metadata_version_mismatch` | [`refresh::role_with_another_version_than_its_name_is_refused`] |
//! | `timestamp_content_changes` | [`refresh::timestamp_of_same_version_is_not_replaced`] |
//! | `basic_metadata_hash_support`, `targets_hash_mismatch`, `snapshot_hash_mismatch` | [`refresh::pinned_hashes_and_lengths_are_verified`] |
//! | – | [`refresh::absent_hashes_and_lengths_are_accepted`] |
//! | – | [`refresh::snapshot_or_timestamp_that_pins_nothing_is_refused`] |
//! | `custom_fields` | [`refresh::unknown_fields_are_signed_and_ignored`] |
//! | `deprecated_keyid_hash_algorithms` | [`refresh::keyid_hash_algorithms_of_key_are_ignored`] |
//! | `snapshot_404`, `targets_404`, `timestamp_404` | [`refresh::missing_role_fails_and_those_before_are_trusted`] |
//! | `incorrect_metadata_type` | [`refresh::metadata_of_another_type_is_refused`] |
//! | – | [`refresh::metadata_of_next_major_specification_is_refused`] |
//! | `faketime` | [`refresh::clock_decides_what_is_expired`] |
//! | `root_expired` | [`expiry::expired_root_is_stored_and_nothing_below_it`] |
//! | `timestamp_expired`, `snapshot_expired`, `targets_expired` | [`expiry::expired_role_is_refused_and_those_before_are_trusted`] |
//! | – | [`expiry::stored_role_expires_without_a_change`] |
//! | `expired_local_root` | [`expiry::expired_stored_root_is_replaced`] |
//! | `expired_local_timestamp` | [`expiry::expired_stored_timestamp_is_replaced`] |
//! | – | [`expiry::expired_stored_timestamp_still_prevents_rollback`] |
//! | `client_downloads_expected_file`, `client_downloads_expected_file_in_sub_dir` | [`downloads::target_is_downloaded_by_its_digest`] |
//! | `artifact_cache` | [`downloads::downloaded_target_is_not_fetched_again`] |
//! | `repository_substitutes_target_file` | [`downloads::target_that_mirror_replaced_is_refused`] |
//! | `multiple_changes_to_target` | [`downloads::only_signed_changes_of_target_are_accepted`] |
//! | `download_with_hash_algorithms`, `download_with_unknown_hash_algorithm` | [`downloads::every_known_hash_must_match_and_one_must_be_known`] |
//! | – | [`downloads::missing_target_names_what_is_missing`] |
//! | – | [`downloads::target_path_outside_of_its_folder_is_refused`] |
//! | `snapshot_does_not_meet_threshold` | [`keys::snapshot_below_threshold_is_refused`] |
//! | `snapshot_has_too_few_keys` | [`keys::threshold_above_number_of_keys_is_never_reached`] |
//! | – | [`keys::threshold_of_zero_is_refused`] |
//! | `duplicate_keys` | [`keys::key_listed_nine_times_counts_once`] |
//! | – | [`keys::two_ids_of_one_key_are_refused`] |
//! | `duplicate_sig_keyids` | [`keys::repeated_signature_is_refused`] |
//! | `keytype_and_scheme` | [`keys::each_key_type_is_verified`] |
//! | `invalid_sig_in_valid_metadata` | [`keys::invalid_signature_beside_valid_ones_is_ignored`] |
//! | – | [`keys::key_of_unknown_scheme_counts_for_nothing`] |
//! | `unusual_role_name` | [`names::role_name_is_encoded_in_requests_and_files`] |
//! | `new_timestamp_version_rollback` | [`rollback::older_timestamp_is_refused`] |
//! | `snapshot_rollback` | [`rollback::older_snapshot_is_refused`] |
//! | `targets_rollback` | [`rollback::older_targets_are_refused`] |
//! | `targets_role_removal` | [`rollback::snapshot_without_role_it_had_is_refused`] |
//! | `targets_fast_forward_recovery` | [`rollback::new_snapshot_key_recovers_from_fast_forward_of_targets`] |
//! | `new_snapshot_fast_forward_recovery` | [`rollback::new_snapshot_and_timestamp_keys_recover_from_fast_forward_of_snapshot`] |
//! | `new_timestamp_fast_forward_recovery` | [`rollback::new_timestamp_key_recovers_from_fast_forward_of_timestamp`] |
//! | `graph_traversal` | [`delegations::roles_are_asked_in_order_of_their_delegations`] |
//! | `targetfile_search` | [`delegations::target_is_found_only_where_every_delegation_has_its_path`] |
//! | `cached_role_is_verified_against_current_delegator` | [`delegations::cached_role_is_verified_against_its_current_delegator`] |
//! | `delegation_not_in_snapshot` | [`delegations::role_that_snapshot_does_not_list_is_not_fetched`] |
//! | – | [`delegations::search_ends_at_its_limit`] |
//! | – | [`delegations::delegation_with_name_of_top_level_role_is_ignored`] |
//! | – | [`delegations::delegation_without_paths_has_none`] |
//! | `root_rotation` | [`rotations::root_is_followed_while_old_and_new_thresholds_are_reached`] |
//! | `non_root_rotations` | [`rotations::role_below_root_needs_threshold_of_its_new_keys`] |
//! | – | [`rotations::endless_chain_of_roots_is_refused`] |
//!
//! `static_repository` reads files of other projects, which only the suite has.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]
#![expect(unreachable_pub, reason = "a test program exports nothing")]

mod client;
mod delegations;
mod downloads;
mod expiry;
mod keys;
mod names;
mod refresh;
mod repository;
mod rollback;
mod rotations;
mod user;
