//! Checks whether a row is visible and whether a mailbox may be written to, by the row rules of every read.
//! Room: engine/executor.

use sea_orm::{ConnectionTrait, DbBackend};

use crate::{
    base::error::Error,
    engine::{
        scope::Scope,
        sql::{builder::SqlBuilder, row_rules},
    },
    registry::{CONTACT, CONTACT_POINT, ObjectType, RequiredChannel},
};

/// Whether the row of `object` with this key is visible to the caller of `scope`.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn exists<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    object: &ObjectType,
    key: uuid::Uuid,
) -> Result<bool, Error> {
    let mut sql = SqlBuilder::new(scope.backend, "SELECT 1 FROM ");
    sql.push(object.table).push(" t WHERE t.").push(object.key_column()).push(" = ").bind(key).push(" AND ");
    row_rules::push_row_rule(&mut sql, scope, object.rows);
    Ok(connection.query_one_raw(sql.into_statement()).await?.is_some())
}

/// The name that administrators gave to a token. Its bearer may know the name of its own token.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn token_name<C: ConnectionTrait>(
    connection: &C,
    backend: DbBackend,
    id: uuid::Uuid,
) -> Result<Option<String>, Error> {
    let mut sql = SqlBuilder::new(backend, "SELECT name FROM access_token WHERE id = ");
    sql.bind(id);
    let row = connection.query_one_raw(sql.into_statement()).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Whether any contact may be written to at the mailbox with this key for the purpose of `scope`, at a primary or a
/// further address, by the row rules of every read. The same statements run whether or not somebody has the
/// mailbox.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn is_reachable_mailbox<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    key: &str,
) -> Result<bool, Error> {
    let mut found = false;
    for object in [&CONTACT, &CONTACT_POINT] {
        let mut sql = SqlBuilder::new(scope.backend, "SELECT 1 FROM ");
        sql.push(object.table).push(" t WHERE t.email_key = ").bind(key).push(" AND ");
        row_rules::push_row_rule(&mut sql, scope, object.rows);
        if scope.rests_on_consent() {
            sql.push(" AND ");
            row_rules::push_covered(&mut sql, scope, object.rows, RequiredChannel::Email);
        }
        sql.push(" LIMIT 1");
        found |= connection.query_one_raw(sql.into_statement()).await?.is_some();
    }
    Ok(found)
}

/// The rows that `sql` returns.
///
/// # Errors
/// From the database.
pub(in crate::engine) async fn query_all<C: ConnectionTrait>(
    connection: &C,
    sql: SqlBuilder,
) -> Result<Vec<sea_orm::QueryResult>, sea_orm::DbErr> {
    connection.query_all_raw(sql.into_statement()).await
}
