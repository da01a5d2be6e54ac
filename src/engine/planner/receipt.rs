//! Plans the receipt of a consent. Room: engine/planner.

use uuid::Uuid;

use super::context::Planner;
use crate::{
    base::{error::Error, i18n::LANGUAGES},
    engine::{
        document::{
            arguments::{Arguments, text},
            operation::CollectedField,
        },
        json::json_key,
        plan::{PlannedReceipt, ReceiptPart},
    },
    policy::Decision,
    registry::{RECEIPT_OF, receipt_coordinates},
};

/// What a receipt counts among the values of an operation: it tells a consent whole.
const RECEIPT_VALUES: u64 = 1_000;

pub(in crate::engine) fn plan<'p>(
    planner: &mut Planner<'p>,
    selected: &CollectedField<'p>,
    arguments: &Arguments,
) -> Result<PlannedReceipt, Error> {
    let coordinates = receipt_coordinates();
    for coordinate in &coordinates {
        if planner.decide(coordinate) != Decision::Allow {
            return Err(Error::not_readable(coordinate));
        }
    }
    planner.plan.allowed += coordinates.len() as u64;
    planner.plan.values = planner.plan.values.saturating_add(RECEIPT_VALUES);
    let mut parts = Vec::new();
    for field in planner.operation.collect_fields(&selected.selection_sets(), "ConsentReceipt")? {
        let part = match field.name {
            "document" => ReceiptPart::Document,
            "html" => ReceiptPart::Html(language(planner, &field)?),
            _ => ReceiptPart::Typename,
        };
        parts.push((json_key(field.key), part));
    }
    // What is no id is the id of nothing: the same answer as for one that is not there.
    let text = match arguments.lookup(&RECEIPT_OF)? {
        Some((name, value)) if !matches!(value, async_graphql::Value::Number(_)) => text(name, value)?,
        _ => "",
    };
    Ok(PlannedReceipt { consent: Uuid::try_parse(text).ok(), parts })
}

fn language(planner: &Planner<'_>, field: &CollectedField<'_>) -> Result<String, Error> {
    let given = field.nodes.first().map(|node| Arguments::new(&planner.operation.variables, node));
    let language = given.as_ref().map(|given| given.text("language")).transpose()?.flatten().unwrap_or("en");
    if !LANGUAGES.contains(&language) {
        return Err(Error::input("`language` must be de or en").at("ConsentReceipt.html"));
    }
    Ok(language.to_owned())
}
