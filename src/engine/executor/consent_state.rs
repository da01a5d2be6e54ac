//! Finds the consent whose status is asked for. Room: engine/executor.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::lookup::query_all;
use crate::{
    base::error::Error,
    engine::{
        plan::{PlannedConsentState, selection::Fetch},
        scope::Scope,
    },
    registry::CONSENT,
};

impl PlannedConsentState {
    /// The consent, if it exists for the caller of `scope`.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn visible<C: ConnectionTrait>(
        &self,
        connection: &C,
        scope: &Scope,
    ) -> Result<Option<Uuid>, Error> {
        let Some(contact) = self.contact else { return Ok(None) };
        let mut sql = scope.select(&Fetch::new(&CONSENT), "");
        sql.push(" AND t.contact_id = ").bind(contact);
        sql.push(" AND t.purpose_code = ").bind(self.purpose.as_str());
        sql.push(" AND t.channel = ").bind(self.channel.as_str());
        let rows = query_all(connection, sql).await?;
        Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?)
    }
}
