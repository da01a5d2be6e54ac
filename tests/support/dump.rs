//! The whole content of a database as text, to see that nothing was left behind.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::database::live;

/// Every row of every table, but for when a token was last used, which is noted beside the requests.
pub async fn dump(db: &DatabaseConnection) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for place in live(db).await {
        let (table, column) = place.split_once('.').unwrap();
        if column != "last_used_at" {
            tables.entry(table.to_owned()).or_default().push(column.to_owned());
        }
    }
    let backend = db.get_database_backend();
    let quote = |column: &String| match backend {
        DbBackend::Postgres => format!("quote_nullable({column}::text)"),
        _ => format!("quote({column})"),
    };
    let mut dumped = BTreeMap::new();
    for (table, columns) in tables {
        let parts: Vec<String> = columns.iter().map(quote).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY 1", parts.join(" || ',' || "));
        let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        let rows = rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect();
        dumped.insert(table, rows);
    }
    dumped
}

/// The one number that a statement gives.
pub async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql.to_owned());
    db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Fails, showing the rows that differ, unless both are the same.
pub fn assert_same(
    after: &BTreeMap<String, Vec<String>>,
    before: &BTreeMap<String, Vec<String>>,
    what: &str,
) {
    for (table, rows) in after {
        let new: Vec<_> = rows.iter().filter(|row| !before[table].contains(row)).collect();
        let gone: Vec<_> = before[table].iter().filter(|row| !rows.contains(row)).collect();
        assert!(new.is_empty() && gone.is_empty(), "{what} changed {table}: new {new:?}, gone {gone:?}");
    }
}
