//! Consents in force and objections in the order of their contacts (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// The rule for rows looks at little else: it is answered from these indexes alone, whatever share of the consents is in force.
#[derive(DeriveMigrationName)]
pub struct Migration;

const ON: &str = "CREATE INDEX consent_in_force_idx ON consent (purpose_code, contact_id, channel";
const NO_OBJECTIONS: &str = "DROP INDEX objection_contact_id_purpose_code_idx";
const OBJECTIONS: &str =
    "CREATE INDEX objection_contact_id_purpose_code_idx ON objection (contact_id, purpose_code";
const WHERE: &str = " WHERE status = 'GRANTED' AND withdrawn_at IS NULL";

/// Keys of postal addresses. Those that no index of PostgreSQL would take become digests, as they are made from now on; SQLite has no
/// SHA-256 and takes them.
const KEYS: [(&str, &str); 3] =
    [("contact", "address_folded"), ("contact_point", "address_folded"), ("consent", "bound_address")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            for (table, column) in KEYS {
                let digest = format!("'sha256:' || encode(sha256(convert_to({column}, 'UTF8')), 'hex')");
                let long = format!("{column} LIKE '%|%' AND octet_length({column}) > 1000");
                run(manager, &[&format!("UPDATE {table} SET {column} = {digest} WHERE {long}")]).await?;
            }
            let objections = format!("{OBJECTIONS}) INCLUDE (objected_at, ended_at)");
            let live = format!("{ON}) INCLUDE (declared_at, expires_at, bound_address){WHERE}");
            run(manager, &[NO_OBJECTIONS, &objections, &live]).await
        } else {
            let objections = format!("{OBJECTIONS}, objected_at, ended_at)");
            let live = format!("{ON}, declared_at, expires_at, bound_address){WHERE}");
            run(manager, &[NO_OBJECTIONS, &objections, &live]).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let objections = format!("{OBJECTIONS})");
        run(manager, &["DROP INDEX consent_in_force_idx", NO_OBJECTIONS, &objections]).await
    }
}
