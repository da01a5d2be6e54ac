//! Receipts of consents, planned: who may have one, and what is asked of it (floor 2).

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    arguments::{Arguments, text},
    document::Selected,
    existing::exists,
    plan::{Planner, json_key},
    sql::Scope,
    write::write_text,
};
use crate::{
    error::Error,
    locales::LANGUAGES,
    policy::Decision,
    register::{CONSENT, RECEIPT_OF, receipt_coordinates},
};

/// What a receipt counts among the values of an operation: it tells a consent whole.
const VALUES: u64 = 1_000;

/// A receipt that is asked for.
#[derive(Debug)]
pub struct PlannedReceipt {
    consent: Option<Uuid>,
    /// Response keys as JSON, each with its colon.
    parts: Vec<(String, Part)>,
}

/// What is asked of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The signed document.
    Document,
    /// The printable record in a language.
    Html(String),
    /// The name of the type.
    Typename,
}

pub(super) fn plan<'p>(
    planner: &mut Planner<'p>,
    selected: &Selected<'p>,
    arguments: &Arguments,
) -> Result<PlannedReceipt, Error> {
    let coordinates = receipt_coordinates();
    for coordinate in &coordinates {
        if planner.decide(coordinate) != Decision::Allow {
            return Err(Error::not_readable(coordinate));
        }
    }
    planner.plan.allowed += coordinates.len() as u64;
    planner.plan.values = planner.plan.values.saturating_add(VALUES);
    let mut parts = Vec::new();
    for field in planner.operation.collect(&selected.sets(), "ConsentReceipt")? {
        let part = match field.name {
            "document" => Part::Document,
            "html" => Part::Html(language(planner, &field)?),
            _ => Part::Typename,
        };
        parts.push((json_key(field.key), part));
    }
    // What is no id is the id of nothing: the same answer as for one that is not there.
    let text = match arguments.called(&RECEIPT_OF)? {
        Some((name, value)) if !matches!(value, async_graphql::Value::Number(_)) => text(name, value)?,
        _ => "",
    };
    Ok(PlannedReceipt { consent: Uuid::try_parse(text).ok(), parts })
}

fn language(planner: &Planner<'_>, field: &Selected<'_>) -> Result<String, Error> {
    let given = field.nodes.first().map(|node| Arguments::of(&planner.operation.variables, node));
    let language = given.as_ref().map(|given| given.text("language")).transpose()?.flatten().unwrap_or("en");
    if !LANGUAGES.contains(&language) {
        return Err(Error::input("`language` must be de or en").at("ConsentReceipt.html"));
    }
    Ok(language.to_owned())
}

impl PlannedReceipt {
    /// The consent, if it exists for the caller of `scope`.
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

    /// The JSON of what is asked, each part by `value`.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn write(&self, mut value: impl FnMut(&Part) -> Result<String, Error>) -> Result<String, Error> {
        let mut out = String::from("{");
        for (index, (key, part)) in self.parts.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            out.push_str(key);
            match part {
                Part::Typename => write_text(&mut out, "ConsentReceipt"),
                part => write_text(&mut out, &value(part)?),
            }
        }
        out.push('}');
        Ok(out)
    }
}
