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
    registry::{RECEIPT_CONSENT_ID, receipt_coordinates},
};

/// A receipt counts as this many values of the operation: it shows the whole consent.
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
    // Text that is no id becomes the id of nothing, so that the answer equals that for a missing row.
    let text = match arguments.lookup(&RECEIPT_CONSENT_ID)? {
        Some((name, value)) if !matches!(value, async_graphql::Value::Number(_)) => text(name, value)?,
        _ => "",
    };
    Ok(PlannedReceipt { consent: Uuid::try_parse(text).ok(), parts })
}

fn language(planner: &Planner<'_>, field: &CollectedField<'_>) -> Result<String, Error> {
    let arguments = field.nodes.first().map(|node| Arguments::new(&planner.operation.variables, node));
    let language =
        arguments.as_ref().map(|arguments| arguments.text("language")).transpose()?.flatten().unwrap_or("en");
    if !LANGUAGES.contains(&language) {
        return Err(Error::bad_input("`language` must be de or en").with_coordinate("ConsentReceipt.html"));
    }
    Ok(language.to_owned())
}
