//! Requirements on every [`Store`](sync_core::ports::Store): one test for each sentence of the port's documentation.
//!
//! A backend's test binary needs one line. The expression is called for every test. It returns a fresh, empty store and
//! whatever must outlive it, such as the database that is dropped at the end:
//!
//! ```
//! use sync_testkit::{MemoryStore, conformance_suite};
//!
//! conformance_suite!(async || (MemoryStore::new(), ()));
//! # fn main() {}
//! ```
//!
//! The calling crate needs `tokio` with `macros` and `rt-multi-thread`. The tests can also be called one by one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "these are tests: one that panics says which promise was broken"
)]

mod changes;
mod deliveries;
mod json;
mod pacing;
mod quarantine;
mod registry;
mod requests;
mod rows;
mod runs;
mod sample;
mod seen;
mod transactions;
mod values;
mod webhooks;

pub use changes::*;
pub use deliveries::*;
pub use json::*;
pub use pacing::*;
pub use quarantine::*;
pub use registry::*;
pub use requests::*;
pub use rows::*;
pub use runs::*;
pub use seen::*;
pub use transactions::*;
pub use values::*;
pub use webhooks::*;

/// Expands to one test for each function of [`conformance`](crate::conformance).
///
/// The argument is called for every test, and returns a future of a fresh store and its guard.
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        $crate::conformance_of_rows!($make);
        $crate::conformance_tests! { $make;
            changes_come_back_in_order
            changes_may_be_deep
            changes_of_an_integration_can_be_read_alone
            the_latest_changes_come_latest_first
            trimmed_changes_leave_the_rest
            a_position_is_found_by_its_number
            a_follower_of_the_changes_misses_none
            integrations_are_registered_and_replaced
            integrations_are_looked_at_when_it_is_time
            endpoints_are_written_and_replaced
            requests_are_written_replaced_and_deleted
            a_request_is_inserted_once
            requests_come_in_the_order_of_their_time
            claims_are_by_kind_then_by_time
            claims_have_come_due
            claims_are_held_by_nobody
            claims_are_eligible
            idle_requests_are_postponed
            claims_wait_no_longer_than_the_longest
            claims_are_held_no_longer_than_a_lease
            requests_of_one_endpoint_are_leased_one_at_a_time
            requests_are_leased_once
            a_request_is_locked_until_the_transaction_ends
            a_request_can_be_tried_without_waiting
            runs_get_rising_numbers
            runs_are_written_whole
            the_latest_run_is_of_its_target
            recent_runs_come_latest_first
            runs_page_back_by_their_numbers
            trimmed_runs_leave_the_rest
            the_pace_is_what_was_said_last
            the_start_of_delivery_is_said_once
            integrations_without_a_delivery_are_reported
            deliveries_are_written_and_replaced
            a_delivery_is_locked_until_the_transaction_ends
            a_delivery_can_be_tried_without_waiting
            due_deliveries_have_something_to_deliver
            due_deliveries_come_by_their_time
            due_deliveries_are_held_by_nobody
            due_deliveries_wait_no_longer_than_the_longest
            undelivered_entries_are_counted
            undelivered_changes_may_stay
            dead_letters_are_kept_and_replaced
            dead_letters_are_marked_and_removed
            a_webhook_is_stored_once
            transactions_may_store_the_same_webhooks
            pending_webhooks_keep_their_order
            trimmed_webhooks_leave_the_rest
            quarantined_records_are_kept_and_replaced
            quarantined_records_may_be_limited
            quarantined_records_are_read_from_an_id
            quarantined_records_are_cleared_by_id
            quarantined_records_are_cleared_by_run
            a_transaction_that_fails_leaves_nothing
            a_transaction_that_fails_takes_no_other_with_it
            a_transaction_sees_what_it_wrote
            a_transaction_that_may_be_lost_counts
            a_dropped_transaction_is_whole
            transactions_of_an_integration_run_one_after_the_other
            transactions_of_several_integrations_all_count
            a_reader_sees_one_snapshot
        }
    };
}

/// The part of [`conformance_suite!`] about the tables of the mirror.
#[macro_export]
macro_rules! conformance_of_rows {
    ($make:expr) => {
        $crate::conformance_tests! { $make;
            rows_of_every_model_come_back_as_written
            rows_of_null_values_come_back_as_written
            rows_not_stored_are_not_returned
            rows_are_replaced_whole
            rows_are_written_whether_they_are_stored_or_not
            rows_that_are_new_are_inserted
            rows_are_inserted_if_none_is_stored
            rows_are_not_inserted_if_one_is_stored
            absent_values_of_new_rows_become_null
            rows_are_held_against_what_is_stored
            rows_are_the_same_if_they_hold_what_is_said
            rows_that_differ_in_one_value_are_handed_over
            rows_that_are_not_new_are_replaced_or_refused
            rows_with_the_same_id_do_not_meet
            rows_page_in_the_order_of_keys
            rows_page_through_key_pairs
            live_rows_are_neither_deleted_nor_removed
            members_are_rows_of_the_parents_that_are_not_removed
            lists_may_be_empty
            lists_may_be_long
            texts_come_back_to_the_letter
            times_come_back_to_the_millisecond
            a_value_is_stored_or_refused
            json_keeps_its_meaning
            json_may_be_large
            json_may_be_deep
            seen_ids_are_not_unseen
            unseen_ids_are_of_rows_not_removed
            notes_are_of_a_model
            keys_page_in_order
            unseen_ids_page_in_order
            a_repeated_note_replaces_the_first
            a_note_may_be_empty
            cleared_notes_are_gone
            rows_of_unregistered_integrations_are_counted
        }
    };
}

/// The part of [`conformance_suite!`] that turns names into tests.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (store, guard) = ($make)().await;
                $crate::conformance::$name(::std::sync::Arc::new(store)).await;
                drop(guard);
            }
        )*
    };
}
