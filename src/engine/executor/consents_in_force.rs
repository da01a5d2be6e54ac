//! Consents that are in force, and those that were last announced as in force. Room: engine/executor.

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

/// One mark of a consent: in force, or announced.
#[derive(Debug)]
pub enum ConsentMark {
    /// It is in force, as reads would find it.
    InForce(InForce),
    /// Its latest recorded change says that it began.
    Announced {
        /// Which consent.
        consent: InForce,
        /// The recorded beginning.
        since: DateTime<Utc>,
        /// The expiry time, if it has one.
        end: Option<DateTime<Utc>>,
    },
}

/// Reads the consents of `contacts` that are in force for the purposes of `scopes`, and those whose latest recorded
/// change says that they began; the latter only for `purposes`, if given. `write` is executed in the same
/// statement, on PostgreSQL only.
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
    // An index finds the latest change of each consent, however long the history. On PostgreSQL, queued changes are
    // newer than all numbered ones; one statement reads both, so that nothing moves in between.
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

/// The condition that `n` is about the same consent as `h`.
const SAME: &str =
    "WHERE n.contact_id = h.contact_id AND n.purpose_code = h.purpose_code AND n.channel = h.channel";

/// Pushes a SELECT of the consents that began according to `table`.
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

/// A single contact is by far the most frequent case and gets a plain comparison.
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
