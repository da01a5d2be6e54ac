//! Letter boxes by the third rules of keys (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::ConnectionTrait};

use crate::run;

/// Every row is read anew at the next start. A program that does not know these rules would pass over noes made by them: it refuses a database
/// with a migration that it does not know.
#[derive(DeriveMigrationName)]
pub struct Migration;

const ANEW: &[&str] = &["UPDATE key_reader SET version = ''"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, ANEW).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // An older program would not find these: noes would be lost by going back.
        let listed = Query::select()
            .expr(Expr::val(1))
            .from(Alias::new("suppression"))
            .and_where(Expr::col(Alias::new("key_version")).like("3:%"))
            .limit(1)
            .to_owned();
        if manager.get_connection().query_one(&listed).await?.is_some() {
            let text = "the suppression list has entries that an older program does not find";
            return Err(DbErr::Custom(text.to_owned()));
        }
        run(manager, ANEW).await
    }
}
