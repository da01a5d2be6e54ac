//! Letter boxes by the third rules of keys (floor 0, frozen).

use sea_orm_migration::prelude::*;

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
        run(manager, ANEW).await
    }
}
