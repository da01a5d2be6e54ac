//! Checks whether a consent is visible and writes its receipt. Room: engine/executor.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::lookup::exists;
use crate::{
    base::error::Error,
    engine::{
        json::write_text,
        plan::{PlannedReceipt, ReceiptPart},
        scope::Scope,
    },
    registry::CONSENT,
};

impl PlannedReceipt {
    /// The consent, if it is visible to the caller of `scope`.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn visible<C: ConnectionTrait>(
        &self,
        connection: &C,
        scope: &Scope,
    ) -> Result<Option<Uuid>, Error> {
        let Some(id) = self.consent else { return Ok(None) };
        Ok(exists(connection, scope, &CONSENT, id).await?.then_some(id))
    }

    /// The JSON of the selected fields, each with the text that `value` returns.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn write(
        &self,
        mut value: impl FnMut(&ReceiptPart) -> Result<String, Error>,
    ) -> Result<String, Error> {
        let mut out = String::from("{");
        for (index, (key, part)) in self.parts.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            out.push_str(key);
            match part {
                ReceiptPart::Typename => write_text(&mut out, "ConsentReceipt"),
                part => write_text(&mut out, &value(part)?),
            }
        }
        out.push('}');
        Ok(out)
    }
}
