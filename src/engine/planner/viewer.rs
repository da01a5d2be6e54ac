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
            input::parse_words,
            operation::CollectedField,
        },
        json::{json_key, write_list, write_text},
        plan::{StaticField, StaticValue},
    },
    policy::{Action, Decision},
    registry::{self, Category, EXPLAINED_ROLES, PURPOSE},
};

fn rendered(write: impl FnOnce(&mut String)) -> StaticValue {
    let mut out = String::new();
    write(&mut out);
    StaticValue::Ready(out)
}

fn boolean(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

pub(in crate::engine) fn plan_viewer<'p>(
    planner: &mut Planner<'p>,
    selected: &CollectedField<'p>,
) -> Result<Vec<StaticField>, Error> {
    let actor = planner.actor;
    let mut fields = Vec::new();
    for field in planner.operation.collect_fields(&selected.selection_sets(), "Viewer")? {
        let value = match field.name {
            "actorId" => rendered(|out| write_text(out, &actor.id)),
            "roles" => rendered(|out| write_list(out, actor.roles.iter().map(String::as_str))),
            "permittedPurposes" => {
                let codes: Vec<String> = actor.permitted.iter().map(|purpose| purpose.code.clone()).collect();
                purposes(planner, &field, codes, true)?
            }
            "purpose" => {
                let codes = actor.purpose.iter().map(|purpose| purpose.code.clone()).collect();
                purposes(planner, &field, codes, false)?
            }
            "fields" => field_access(planner, &field)?,
            "expiresAt" => rendered(|out| {
                write_text(out, &actor.expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }),
            // A user has no token of ours.
            "tokenName" => match actor.id.strip_prefix("token:").and_then(|id| id.parse().ok()) {
                Some(id) => StaticValue::TokenName(id),
                None => rendered(|out| out.push_str("null")),
            },
            _ => rendered(|out| write_text(out, "Viewer")),
        };
        fields.push(StaticField { key: json_key(field.key), value });
    }
    Ok(fields)
}

fn purposes<'p>(
    planner: &mut Planner<'p>,
    field: &CollectedField<'p>,
    codes: Vec<String>,
    list: bool,
) -> Result<StaticValue, Error> {
    let fetch = planner.plan_fetch(&PURPOSE, &field.selection_sets(), codes.len() as u64)?;
    // The code is never null: where it may not be read there is no purpose to show.
    let codes = if planner.decide("Purpose.code") == Decision::Allow { codes } else { Vec::new() };
    Ok(StaticValue::Purposes { fetch, codes, list })
}

/// `BAD_USER_INPUT` for a type that is not there, with those of which the caller may read something.
fn unknown_type(planner: &Planner<'_>, requested: &str) -> Error {
    let readable = registry::OBJECTS.iter().filter(|object| planner.is_readable(object));
    let known: Vec<&str> = readable.map(|object| object.name).collect();
    Error::input(unknown("governed type", requested, &known))
}

/// The decisions on the fields of a type.
fn field_access<'p>(planner: &mut Planner<'p>, selected: &CollectedField<'p>) -> Result<StaticValue, Error> {
    let Some(first) = selected.nodes.first() else { return Ok(StaticValue::Ready("[]".to_owned())) };
    let arguments = Arguments::new(&planner.operation.variables, first);
    let name = arguments.text("type")?.unwrap_or_default();
    let object = registry::object(name).ok_or_else(|| unknown_type(planner, name))?;
    let parts = planner.operation.collect_fields(&selected.selection_sets(), "FieldAccess")?;
    let actor = planner.actor;
    Ok(rendered(|out| {
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
fn explained_roles(actor: &Actor, name: &'static str, value: &Value) -> Result<Vec<String>, Error> {
    let roles = parse_words(name, value, name)?;
    let single = !matches!(value, Value::List(_));
    match roles.iter().position(|role| !actor.policy.roles().contains(role)) {
        Some(index) => {
            let path = if single { name.to_owned() } else { format!("{name}.{index}") };
            let requested = roles.get(index).map_or("", String::as_str);
            Err(Error::input(unknown("role", requested, actor.policy.roles())).in_input(path))
        }
        None if roles.is_empty() => {
            let message = format!("`{name}` is empty; leave it out for the caller's own");
            Err(Error::input(message).in_input(name))
        }
        None => Ok(roles),
    }
}

/// `BAD_USER_INPUT` for a coordinate that is not there. Who asks may ask about any, so that each may be told to it.
fn unknown_coordinate(actor: &Actor, requested: &str) -> Error {
    let known: Vec<&str> = actor.policy.cells().map(|(name, _)| name).collect();
    let expected = match closest(requested, &known) {
        Some(suggestion) => format!("did you mean `{suggestion}`?"),
        None => "expected a type and a field, such as `Contact.email`".to_owned(),
    };
    Error::input(format!("there is no such coordinate; {expected}")).in_input("coordinate")
}

pub(in crate::engine) fn plan_explanation<'p>(
    planner: &mut Planner<'p>,
    selected: &CollectedField<'p>,
    arguments: &Arguments,
) -> Result<Vec<StaticField>, Error> {
    let actor = planner.actor;
    let coordinate = arguments.text("coordinate")?.unwrap_or_default().to_owned();
    let code = arguments.text("purpose")?.unwrap_or_default();
    // For the caller's own roles its token narrows value they may.
    let (roles, only) = match arguments.lookup(&EXPLAINED_ROLES)? {
        Some((name, value)) => (explained_roles(actor, name, value)?, None),
        None => (actor.roles.clone(), actor.fields.as_deref()),
    };
    let object = actor.policy.object(&coordinate).ok_or_else(|| unknown_coordinate(actor, &coordinate))?;
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
    let mut fields = Vec::new();
    if let Some(contact) = contact {
        fields.push(StaticField { key: String::new(), value: StaticValue::OnlyIfVisible(contact) });
    }
    for field in planner.operation.collect_fields(&selected.selection_sets(), "AccessExplanation")? {
        let value = match field.name {
            "coordinate" => rendered(|out| write_text(out, &coordinate)),
            "purpose" => rendered(|out| write_text(out, code)),
            "roles" => rendered(|out| write_list(out, roles.iter().map(String::as_str))),
            "decision" => rendered(|out| write_text(out, decision.as_str())),
            "contactVisible" if contact.is_some() => StaticValue::ContactVisible(purpose.clone()),
            "contactVisible" => rendered(|out| out.push_str("null")),
            "rules" => {
                let parts = planner.operation.collect_fields(&field.selection_sets(), "PolicyRule")?;
                rendered(|out| {
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
            _ => rendered(|out| write_text(out, "AccessExplanation")),
        };
        fields.push(StaticField { key: json_key(field.key), value });
    }
    Ok(fields)
}
