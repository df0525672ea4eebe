use diesel::prelude::*;
use kombo_model::IntegrationId;
use sync_core::outbox::{DeadLetter, DeliveryId};
use sync_core::ports::{DeadLetters, TxResult};

use crate::both;
use crate::error::During as _;
use crate::schema::sync_dead_letters;
use crate::types::{AnyText, Moment};

const TABLE: &str = "sync_dead_letters";

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = sync_dead_letters)]
struct LetterRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    id: String,
    first_seq: i64,
    last_seq: i64,
    entries: i64,
    first_tried_at: Moment,
    last_tried_at: Moment,
    attempts: i32,
    #[diesel(deserialize_as = AnyText)]
    error: String,
    again: bool,
}

impl From<&DeadLetter> for LetterRow {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            integration_id: letter.integration_id.to_string(),
            id: letter.id.0.clone(),
            first_seq: letter.first_seq,
            last_seq: letter.last_seq,
            entries: letter.entries,
            first_tried_at: Moment(letter.first_tried_at),
            last_tried_at: Moment(letter.last_tried_at),
            attempts: letter.attempts,
            error: letter.error.clone(),
            again: letter.again,
        }
    }
}

impl From<LetterRow> for DeadLetter {
    fn from(row: LetterRow) -> Self {
        Self {
            integration_id: IntegrationId::from(row.integration_id),
            id: DeliveryId(row.id),
            first_seq: row.first_seq,
            last_seq: row.last_seq,
            entries: row.entries,
            first_tried_at: row.first_tried_at.0,
            last_tried_at: row.last_tried_at.0,
            attempts: row.attempts,
            error: row.error,
            again: row.again,
        }
    }
}

both! {
    postgres {
        use super::super::deliveries::pg as deliveries;
    }

    sqlite {
        use super::super::deliveries::sqlite as deliveries;
    }

    impl DeadLetters for DbTx<'_> {
        fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()> {
            let row = (LetterRow::from(letter), sync_dead_letters::body.eq(body));
            let changed = (LetterRow::from(letter), sync_dead_letters::body.eq(body));
            diesel::insert_into(sync_dead_letters::table)
                .values(row)
                .on_conflict((sync_dead_letters::integration_id, sync_dead_letters::id))
                .do_update()
                .set(changed)
                .execute(self.conn)
                .during(TABLE)?;
            if letter.again { deliveries::note_pending(self.conn, letter.integration_id.as_str()) } else { Ok(()) }
        }

        fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>> {
            let letters = sync_dead_letters::table
                .order((sync_dead_letters::integration_id, sync_dead_letters::first_seq))
                .select(LetterRow::as_select());
            let rows: Vec<LetterRow> = match integration {
                Some(id) => letters.filter(sync_dead_letters::integration_id.eq(id.as_str())).load(self.conn).during(TABLE)?,
                None => letters.load(self.conn).during(TABLE)?,
            };
            Ok(rows.into_iter().map(DeadLetter::from).collect())
        }

        fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>> {
            let letter = sync_dead_letters::table.find((integration.as_str(), id.0.as_str()));
            let body: Option<AnyText> = letter.select(sync_dead_letters::body).first(self.conn).optional().during(TABLE)?;
            Ok(body.map(String::from))
        }

        fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
            let letter = sync_dead_letters::table.find((integration.as_str(), id.0.as_str()));
            let marked = diesel::update(letter).set(sync_dead_letters::again.eq(true)).execute(self.conn).during(TABLE)?;
            deliveries::note_pending(self.conn, integration.as_str())?;
            Ok(marked == 1)
        }

        fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
            let letter = sync_dead_letters::table.find((integration.as_str(), id.0.as_str()));
            Ok(diesel::delete(letter).execute(self.conn).during(TABLE)? == 1)
        }
    }
}
