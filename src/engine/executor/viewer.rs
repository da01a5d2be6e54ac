//! Writes the types that hold no data of persons. Room: engine/executor.

use super::{
    context::Executor,
    lookup::{exists, token_name},
};
use crate::{
    base::error::Error,
    engine::{
        cell::Cell,
        json::write_text,
        plan::{StaticField, StaticValue},
        scope::Scope,
    },
    registry::CONTACT,
};

impl<'r> Executor<'r> {
    pub(in crate::engine) async fn write_static_fields(
        &mut self,
        parts: &[StaticField],
    ) -> Result<String, Error> {
        let mut contact = None;
        let mut out = String::from("{");
        for part in parts {
            if out.len() > 1 && !part.key.is_empty() {
                out.push(',');
            }
            out.push_str(&part.key);
            match &part.value {
                StaticValue::Ready(json) => out.push_str(json),
                StaticValue::Purposes { fetch, codes, list } => {
                    let keys: Vec<Cell> = codes.iter().cloned().map(Cell::Text).collect();
                    out.push_str(&self.by_keys(fetch, &keys, *list).await?);
                }
                StaticValue::OnlyIfVisible(id) => {
                    if !exists(self.db, &self.scope, &CONTACT, *id).await? {
                        return Ok("null".to_owned());
                    }
                    contact = Some(*id);
                }
                StaticValue::TokenName(id) => match token_name(self.db, self.scope.backend, *id).await? {
                    Some(name) => write_text(&mut out, &name),
                    None => out.push_str("null"),
                },
                StaticValue::ContactVisible(purpose) => {
                    let scope = Scope { purpose: Some(purpose.clone()), ..self.scope.clone() };
                    let visible = match contact {
                        Some(id) => exists(self.db, &scope, &CONTACT, id).await?,
                        None => false,
                    };
                    out.push_str(if visible { "true" } else { "false" });
                }
            }
        }
        out.push('}');
        Ok(out)
    }
}
