//! Reads and writes the payload of a mutation. Room: engine/executor.

use super::context::Executor;
use crate::{
    base::error::Error,
    engine::{
        cell::Cell,
        json::write_text,
        plan::{MutationResult, PayloadPart, PlannedMutation},
    },
};

impl Executor<'_> {
    /// Reads and writes the payload of what was `written`.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn write_payload(
        &mut self,
        planned: &PlannedMutation,
        written: &MutationResult,
    ) -> Result<String, Error> {
        let mut json = String::from("{");
        for (index, (key, out)) in planned.fields.iter().enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            json.push_str(key);
            match out {
                PayloadPart::Typename => write_text(&mut json, planned.mutation.payload.name),
                PayloadPart::Null => json.push_str("null"),
                PayloadPart::Secret => match &written.secret {
                    Some(secret) => write_text(&mut json, secret),
                    None => json.push_str("null"),
                },
                PayloadPart::One(fetch) => {
                    let key = written.ids.first().map_or(Cell::Null, |id| Cell::Uuid(*id));
                    json.push_str(&self.read_one(fetch, &key).await?);
                }
                PayloadPart::Many(fetch) => {
                    let keys: Vec<Cell> = written.ids.iter().map(|id| Cell::Uuid(*id)).collect();
                    json.push_str(&self.by_keys(fetch, &keys, true).await?);
                }
            }
        }
        json.push('}');
        Ok(json)
    }
}
