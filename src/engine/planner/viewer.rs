//! Plans the types that hold no data of persons: the viewer and explanations of decisions. Room: engine/planner.

use async_graphql::Value;
use chrono::SecondsFormat;

use super::context::Planner;
use crate::{
    auth::actor::Actor,
    base::{
        error::Error,
        names::{closest, unknown},
    },
    engine::{
        document::{
            arguments::{Arguments, id},
            input::words,
            operation::CollectedField,
        },
        json::{json_key, write_list, write_text},
        plan::{StaticField, StaticValue},
    },
    policy::{Action, Decision},
    registry::{self, Category, EXPLAINED_ROLES, PURPOSE},
};

fn ready(write: impl FnOnce(&mut String)) -> StaticValue {
    let mut out = String::new();
    write(&mut out);
    StaticValue::Ready(out)
}

fn boolean(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

pub(in crate::engine) fn viewer<'p>(
    planner: &mut Planner<'p>,
    selected: &CollectedField<'p>,
) -> Result<Vec<StaticField>, Error> {
    let actor = planner.actor;
    let mut outs = Vec::new();
    for field in planner.operation.collect(&selected.sets(), "Viewer")? {
        let what = match field.name {
            "actorId" => ready(|out| write_text(out, &actor.id)),
            "roles" => ready(|out| write_list(out, actor.roles.iter().map(String::as_str))),
            "permittedPurposes" => {
                let codes: Vec<String> = actor.permitted.iter().map(|purpose| purpose.code.clone()).collect();
                purposes(planner, &field, codes, true)?
            }
            "purpose" => {
                let codes = actor.purpose.iter().map(|purpose| purpose.code.clone()).collect();
                purposes(planner, &field, codes, false)?
            }
            "fields" => fields(planner, &field)?,
            "expiresAt" => ready(|out| {
                write_text(out, &actor.expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }),
            // A user has no token of ours.
            "tokenName" => match actor.id.strip_prefix("token:").and_then(|id| id.parse().ok()) {
                Some(id) => StaticValue::TokenName(id),
                None => ready(|out| out.push_str("null")),
            },
            _ => ready(|out| write_text(out, "Viewer")),
        };
        outs.push(StaticField { key: json_key(field.key), what });
    }
    Ok(outs)
}

fn purposes<'p>(
    planner: &mut Planner<'p>,
    field: &CollectedField<'p>,
    codes: Vec<String>,
    list: bool,
) -> Result<StaticValue, Error> {
    let level = planner.level(&PURPOSE, &field.sets(), codes.len() as u64)?;
    // The code is never null: where it may not be read there is no purpose to show.
    let codes = if planner.decide("Purpose.code") == Decision::Allow { codes } else { Vec::new() };
    Ok(StaticValue::Purposes { level, codes, list })
}

/// `BAD_USER_INPUT` for a type that is not there, with those of which the caller may read something.
fn no_type(planner: &Planner<'_>, given: &str) -> Error {
    let readable = registry::OBJECTS.iter().filter(|object| planner.readable(object));
    let known: Vec<&str> = readable.map(|object| object.name).collect();
    Error::input(unknown("governed type", given, &known))
}

/// The decisions on the fields of a type.
fn fields<'p>(planner: &mut Planner<'p>, selected: &CollectedField<'p>) -> Result<StaticValue, Error> {
    let Some(first) = selected.nodes.first() else { return Ok(StaticValue::Ready("[]".to_owned())) };
    let arguments = Arguments::of(&planner.operation.variables, first);
    let name = arguments.text("type")?.unwrap_or_default();
    let object = registry::object(name).ok_or_else(|| no_type(planner, name))?;
    let parts = planner.operation.collect(&selected.sets(), "FieldAccess")?;
    let actor = planner.actor;
    Ok(ready(|out| {
        out.push('[');
        for (index, field) in object.fields.iter().enumerate() {
            let coordinate = format!("{}.{}", object.name, field.name);
            let may = |action| {
                let writable = field.category != Category::Key;
                let id = actor.policy.object(&coordinate);
                boolean(writable && id.is_some_and(|id| actor.table.allows(id, action)))
            };
            out.push_str(if index == 0 { "{" } else { ",{" });
            for (index, part) in parts.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&json_key(part.key));
                match part.name {
                    "coordinate" => write_text(out, &coordinate),
                    "category" => write_text(out, field.category.as_str()),
                    "decision" => write_text(out, planner.decide(&coordinate).as_str()),
                    "create" => out.push_str(may(Action::Create)),
                    "update" => out.push_str(may(Action::Update)),
                    _ => write_text(out, "FieldAccess"),
                }
            }
            out.push('}');
        }
        out.push(']');
    }))
}

/// The roles that an explanation is about. Who asks may ask about any, so that each may be told to it.
fn explained(actor: &Actor, name: &'static str, value: &Value) -> Result<Vec<String>, Error> {
    let roles = words(name, value, name)?;
    let single = !matches!(value, Value::List(_));
    match roles.iter().position(|role| !actor.policy.roles().contains(role)) {
        Some(index) => {
            let place = if single { name.to_owned() } else { format!("{name}.{index}") };
            let given = roles.get(index).map_or("", String::as_str);
            Err(Error::input(unknown("role", given, actor.policy.roles())).in_input(place))
        }
        None if roles.is_empty() => {
            let message = format!("`{name}` is empty; leave it out for the caller's own");
            Err(Error::input(message).in_input(name))
        }
        None => Ok(roles),
    }
}

/// `BAD_USER_INPUT` for a coordinate that is not there. Who asks may ask about any, so that each may be told to it.
fn no_coordinate(actor: &Actor, given: &str) -> Error {
    let known: Vec<&str> = actor.policy.cells().map(|(name, _)| name).collect();
    let expected = match closest(given, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "expected a type and a field, such as `Contact.email`".to_owned(),
    };
    Error::input(format!("there is no such coordinate; {expected}")).in_input("coordinate")
}

pub(in crate::engine) fn explain<'p>(
    planner: &mut Planner<'p>,
    selected: &CollectedField<'p>,
    arguments: &Arguments,
) -> Result<Vec<StaticField>, Error> {
    let actor = planner.actor;
    let coordinate = arguments.text("coordinate")?.unwrap_or_default().to_owned();
    let code = arguments.text("purpose")?.unwrap_or_default();
    // For the caller's own roles its token narrows what they may.
    let (roles, only) = match arguments.called(&EXPLAINED_ROLES)? {
        Some((name, value)) => (explained(actor, name, value)?, None),
        None => (actor.roles.clone(), actor.fields.as_deref()),
    };
    let object = actor.policy.object(&coordinate).ok_or_else(|| no_coordinate(actor, &coordinate))?;
    let purpose = actor.policy.purpose(code).cloned();
    let purpose = purpose.ok_or_else(|| actor.no_purpose(code, false).in_input("purpose"))?;
    let table = actor.policy.table(&roles, code, only)?;
    let action = match coordinate.split(['.', ':']).next() {
        Some("Query" | "Mutation" | "Subscription") => Action::Execute,
        Some("token" | "ground") => Action::Grant,
        _ => Action::Read,
    };
    let decision = match action {
        Action::Read => table.decide(object),
        _ if table.allows(object, action) => Decision::Allow,
        _ => Decision::Deny,
    };
    let mut rules: Vec<_> =
        roles.iter().flat_map(|role| actor.policy.explain(role, code, &coordinate, action)).collect();
    rules.sort_by_key(|rule| rule.line);
    rules.dedup();
    let contact = arguments.get("contactId").map(|value| id("contactId", value)).transpose()?;
    let mut outs = Vec::new();
    if let Some(contact) = contact {
        outs.push(StaticField { key: String::new(), what: StaticValue::OnlyIfVisible(contact) });
    }
    for field in planner.operation.collect(&selected.sets(), "AccessExplanation")? {
        let what = match field.name {
            "coordinate" => ready(|out| write_text(out, &coordinate)),
            "purpose" => ready(|out| write_text(out, code)),
            "roles" => ready(|out| write_list(out, roles.iter().map(String::as_str))),
            "decision" => ready(|out| write_text(out, decision.as_str())),
            "contactVisible" if contact.is_some() => StaticValue::ContactVisible(purpose.clone()),
            "contactVisible" => ready(|out| out.push_str("null")),
            "rules" => {
                let parts = planner.operation.collect(&field.sets(), "PolicyRule")?;
                ready(|out| {
                    out.push('[');
                    for (index, rule) in rules.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, part) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(&json_key(part.key));
                            match part.name {
                                "line" => out.push_str(&rule.line.to_string()),
                                "text" => write_text(out, &rule.text),
                                _ => write_text(out, "PolicyRule"),
                            }
                        }
                        out.push('}');
                    }
                    out.push(']');
                })
            }
            _ => ready(|out| write_text(out, "AccessExplanation")),
        };
        outs.push(StaticField { key: json_key(field.key), what });
    }
    Ok(outs)
}
