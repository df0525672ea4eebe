//! The bookkeeping tables. The mirror's own tables are derived from `sync_core::rows::Model`.

macro_rules! tables {
    ($($name:ident ($($key:ident),+) { $($column:ident -> $type:ty,)* })*) => {$(
        diesel::table! {
            use diesel::sql_types::*;
            use crate::types::{Document, Instant};
            $name ($($key),+) { $($column -> $type,)* }
        }
    )*};
}

tables! {
    sync_integrations (id) {
        id -> Text,
        tool -> Nullable<Text>,
        status -> Text,
        status_since -> Instant,
        reason -> Nullable<Text>,
        registered_at -> Instant,
        state_updated_at -> Nullable<Instant>,
        next_look_at -> Instant,
        category -> Nullable<Text>,
    }
    sync_watermarks (integration_id, endpoint) {
        integration_id -> Text,
        endpoint -> Text,
        watermark -> Nullable<Instant>,
        loaded_at -> Nullable<Instant>,
        last_delta_at -> Nullable<Instant>,
        last_full_at -> Nullable<Instant>,
        next_full_at -> Nullable<Instant>,
        last_blind_full_at -> Nullable<Instant>,
        status -> Text,
        status_since -> Nullable<Instant>,
        reason -> Nullable<Text>,
        pending_removals -> Nullable<BigInt>,
    }
    sync_requests (integration_id, endpoint, kind) {
        integration_id -> Text,
        endpoint -> Text,
        kind -> Text,
        cause -> Text,
        requested_at -> Instant,
        not_before -> Instant,
        generation -> BigInt,
        attempts -> Integer,
        approved_removals -> Nullable<BigInt>,
        lease_token -> Nullable<Text>,
        lease_owner -> Nullable<Text>,
        lease_expires_at -> Nullable<Instant>,
        lease_generation -> Nullable<BigInt>,
    }
    sync_runs (id) {
        id -> BigInt,
        integration_id -> Text,
        endpoint -> Text,
        kind -> Text,
        outcome -> Text,
        started_at -> Instant,
        finished_at -> Nullable<Instant>,
        updated_after -> Nullable<Instant>,
        fetch_started_at -> Nullable<Instant>,
        first_load -> Bool,
        phase -> Text,
        page_cursor -> Nullable<Text>,
        batches -> BigInt,
        pages -> BigInt,
        records -> BigInt,
        created -> BigInt,
        updated -> BigInt,
        deleted -> BigInt,
        restored -> BigInt,
        unchanged -> BigInt,
        indirect -> BigInt,
        stale -> BigInt,
        quarantined -> BigInt,
        error -> Nullable<Text>,
        unlisted -> BigInt,
        withheld -> BigInt,
    }
    sync_pacing (id) {
        id -> SmallInt,
        next_at -> Nullable<Instant>,
        budget_limit -> Nullable<BigInt>,
        budget_left -> Nullable<BigInt>,
        budget_until -> Nullable<Instant>,
    }
    sync_webhook_events (id) {
        id -> Text,
        kind -> Text,
        integration_id -> Nullable<Text>,
        received_at -> Instant,
        models -> Document,
        result -> Text,
    }
    sync_webhook_inbox (arrival) {
        arrival -> BigInt,
        integration_id -> Text,
        event_id -> Text,
        received_at -> Instant,
        hint -> Text,
    }
    sync_quarantine (integration_id, endpoint, record_id) {
        integration_id -> Text,
        endpoint -> Text,
        record_id -> Text,
        json -> Text,
        path -> Text,
        reason -> Text,
        observed_at -> Instant,
        run_id -> BigInt,
    }
    sync_changes (seq) {
        seq -> BigInt,
        integration_id -> Text,
        model -> Text,
        record_id -> Text,
        kind -> Text,
        cause -> Text,
        fields -> Document,
        run_id -> BigInt,
        at -> Instant,
    }
    sync_deliveries (integration_id) {
        integration_id -> Text,
        delivered_seq -> BigInt,
        delivered_at -> Nullable<Instant>,
        not_before -> Instant,
        parcel_id -> Nullable<Text>,
        parcel_first_seq -> Nullable<BigInt>,
        parcel_last_seq -> Nullable<BigInt>,
        parcel_entries -> Nullable<BigInt>,
        parcel_first_tried_at -> Nullable<Instant>,
        parcel_attempts -> Nullable<Integer>,
        parcel_error -> Nullable<Text>,
        lease_token -> Nullable<Text>,
        lease_owner -> Nullable<Text>,
        lease_expires_at -> Nullable<Instant>,
    }
    sync_delivery_start (id) {
        id -> SmallInt,
        seq -> BigInt,
    }
    sync_dead_letters (integration_id, id) {
        integration_id -> Text,
        id -> Text,
        first_seq -> BigInt,
        last_seq -> BigInt,
        entries -> BigInt,
        first_tried_at -> Instant,
        last_tried_at -> Instant,
        attempts -> Integer,
        error -> Text,
        again -> Bool,
        body -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(sync_changes, sync_deliveries);
diesel::allow_tables_to_appear_in_same_query!(sync_integrations, sync_deliveries);
