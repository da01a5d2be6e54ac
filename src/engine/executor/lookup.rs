//! Whether a row is there for a caller, and whether a mailbox is reached, by the rule that every read goes by. Room: engine/executor.

use sea_orm::{ConnectionTrait, DbBackend};

use crate::{
    base::error::Error,
    engine::{
        scope::Scope,
        sql::{builder::SqlBuilder, row_rules},
    },
    registry::{CONTACT, CONTACT_POINT, Cover, ObjectType},
};

/// Whether the row of `object` with this key exists for the caller of `scope`.
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

/// What those who manage tokens call this one. Its bearer may know: it is the caller's own.
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

/// Whether anybody may be written to at the mailbox with this key for the purpose of `scope`, by the rule that every read goes by:
/// at a primary address or a further one. The same statements run whoever has it.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn reaches<C: ConnectionTrait>(connection: &C, scope: &Scope, key: &str) -> Result<bool, Error> {
    let mut found = false;
    for object in [&CONTACT, &CONTACT_POINT] {
        let mut sql = SqlBuilder::new(scope.backend, "SELECT 1 FROM ");
        sql.push(object.table).push(" t WHERE t.email_key = ").bind(key).push(" AND ");
        row_rules::push_row_rule(&mut sql, scope, object.rows);
        if scope.rests_on_consent() {
            sql.push(" AND ");
            row_rules::push_covered(&mut sql, scope, object.rows, Cover::Email);
        }
        sql.push(" LIMIT 1");
        found |= connection.query_one_raw(sql.into_statement()).await?.is_some();
    }
    Ok(found)
}

/// The rows that `sql` finds.
///
/// # Errors
/// From the database.
pub(in crate::engine) async fn query_all<C: ConnectionTrait>(
    connection: &C,
    sql: SqlBuilder,
) -> Result<Vec<sea_orm::QueryResult>, sea_orm::DbErr> {
    connection.query_all_raw(sql.into_statement()).await
}
