//! Consents that are in force, beside those that were announced last to be so. Room: engine/executor.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, StatementBuilder, sea_query::InsertStatement};
use uuid::Uuid;

use super::lookup;
use crate::{
    base::error::Error,
    engine::{
        cell::Cell,
        scope::Scope,
        sql::{builder::SqlBuilder, row_rules},
    },
};

/// A consent by contact, purpose and channel.
pub type InForce = (Uuid, String, String);

/// A consent as it stands.
#[derive(Debug)]
pub enum ConsentMark {
    /// It is in force, as reads would find it.
    InForce(InForce),
    /// What was told last of it is that it began.
    Announced {
        /// Which consent.
        consent: InForce,
        /// Since when, as it was told.
        since: DateTime<Utc>,
        /// When it ends by time.
        end: Option<DateTime<Utc>>,
    },
}

/// The consents of `contacts` that are in force for the purposes of `scopes`, and those of which that was told last: of the purposes
/// in `purposes`, where it is some. `with_write` is a statement that is to be executed with it, on PostgreSQL alone.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn consents_in_force<C: ConnectionTrait>(
    connection: &C,
    scopes: &[Scope],
    contacts: &[Uuid],
    purposes: Option<&[String]>,
    write: Option<&InsertStatement>,
) -> Result<Vec<ConsentMark>, Error> {
    let backend = connection.get_database_backend();
    let mut sql = match write {
        Some(write) => SqlBuilder::with_write(backend, StatementBuilder::build(write, &backend)),
        None => SqlBuilder::new(backend, ""),
    };
    // The last word on each is found by its index, however long the history is. On PostgreSQL what waits in the queue is newer than
    // all that has its place: both are looked at by one statement, so that nothing moves in between.
    let queued = backend == DbBackend::Postgres;
    if queued {
        push_announced(&mut sql, "consent_change_queue", contacts, purposes);
        sql.push(" AND NOT EXISTS (SELECT 1 FROM consent_change_queue n ")
            .push(SAME)
            .push(" AND n.number > h.number)");
        sql.push(" UNION ALL ");
    }
    push_announced(&mut sql, "consent_change", contacts, purposes);
    sql.push(" AND NOT EXISTS (SELECT 1 FROM consent_change n ").push(SAME).push(" AND n.id > h.id)");
    if queued {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM consent_change_queue n ").push(SAME).push(")");
    }
    for scope in scopes {
        sql.push(
            " UNION ALL SELECT g.contact_id, g.purpose_code, g.channel, NULL, NULL FROM consent g \
             JOIN contact c ON c.id = g.contact_id WHERE ",
        );
        push_contact_condition(&mut sql, "g.contact_id", contacts);
        sql.push(" AND ");
        row_rules::push_effective_consent(&mut sql, scope);
    }
    let rows = lookup::query_all(connection, sql).await?;
    Ok(rows.iter().map(decode).collect::<Result<_, DbErr>>()?)
}

/// What is about the consent that `h` is about.
const SAME: &str =
    "WHERE n.contact_id = h.contact_id AND n.purpose_code = h.purpose_code AND n.channel = h.channel";

/// What `table` tells of consents that began.
fn push_announced(sql: &mut SqlBuilder, table: &str, contacts: &[Uuid], purposes: Option<&[String]>) {
    sql.push("SELECT h.contact_id, h.purpose_code, h.channel, h.at, k.expires_at FROM ").push(table);
    sql.push(
        " h LEFT JOIN consent k ON k.contact_id = h.contact_id AND k.purpose_code = h.purpose_code \
         AND k.channel = h.channel WHERE ",
    );
    push_contact_condition(sql, "h.contact_id", contacts);
    if let Some(codes) = purposes {
        let codes: Vec<Cell> = codes.iter().cloned().map(Cell::Text).collect();
        match codes.as_slice() {
            [Cell::Text(code)] => sql.push(" AND h.purpose_code = ").bind(code.as_str()),
            codes => sql.push(" AND ").push_in("h.purpose_code", codes),
        };
    }
    sql.push(" AND h.kind = 'GRANTED'");
}

/// One contact is by far the most frequent, and is compared as such.
fn push_contact_condition(sql: &mut SqlBuilder, column: &str, contacts: &[Uuid]) {
    if let [contact] = contacts {
        sql.push(column).push(" = ").bind(*contact);
    } else {
        let contacts: Vec<Cell> = contacts.iter().copied().map(Cell::Uuid).collect();
        sql.push_in(column, &contacts);
    }
}

fn decode(row: &QueryResult) -> Result<ConsentMark, DbErr> {
    let consent = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    Ok(match row.try_get_by_index(3)? {
        Some(since) => ConsentMark::Announced { consent, since, end: row.try_get_by_index(4)? },
        None => ConsentMark::InForce(consent),
    })
}
