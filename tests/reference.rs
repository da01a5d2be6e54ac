//! Proof 8: random documents get the same answer from the engine as from a slow, naive interpreter.
//!
//! The interpreter knows the persons of the test world as plain values, decides field by field and row by row with the
//! decision table, and shares no code with the engine but the parser and the folding of text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use async_graphql::parser::{
    parse_query,
    types::{Directive, DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql::{Positioned, Value as Given};
use async_graphql_value::Value as Ast;
use chrono::{SecondsFormat, TimeDelta};
use entity::enums::{Channel, ConsentStatus, ContactState};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sea_orm::ActiveEnum;
use serde_json::{Map, Value, json};
use zweck::{
    audit,
    base::fold::{email_key, fold},
    crypto::{
        installation_keys::InstallationKeys,
        link_tokens::{self, Preference},
    },
    policy::{Action, Decision, DecisionTable, Grounds, LegalBasis, Policy, PurposeDef},
    registry::{self, FieldSource},
};

use crate::{
    reads::{World, worlds},
    support::{
        app::start,
        client::problems,
        world::{Person, id, persons},
    },
};

struct Row {
    ty: &'static str,
    person: usize,
    /// Which of the person's consents, grounds, ...
    part: usize,
}

struct Reference<'a> {
    persons: &'a [Person],
    purpose: &'a PurposeDef,
    policy: &'a Policy,
    table: DecisionTable,
    document: &'a ExecutableDocument,
    variables: &'a Map<String, Value>,
    denied: BTreeSet<String>,
    masked: BTreeSet<String>,
    withheld: BTreeMap<String, u64>,
    /// Links are made by the library itself: what they hold is tested elsewhere.
    ring: &'a InstallationKeys,
}

fn at(days: i64) -> Value {
    json!((start() + TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

impl Reference<'_> {
    fn decide(&self, coordinate: &str) -> Decision {
        self.table.decide(self.policy.object(coordinate).unwrap())
    }

    /// `(purpose, channel)` consents that are live, channel by channel.
    fn covers(&self, person: &Person, channels: &[Channel]) -> bool {
        person.consents.iter().any(|(purpose, channel, status, expires, bound)| {
            let current = match channel {
                Channel::Email => person.email,
                Channel::Phone | Channel::Sms => person.phone,
                Channel::Post => None,
            };
            *purpose == self.purpose.code
                && !self.ended(person)
                && channels.contains(channel)
                && *status == ConsentStatus::Granted
                && expires.is_none_or(|days| days > 0)
                && bound.is_none_or(|bound| Some(fold(bound)) == current.map(fold))
        })
    }

    /// An objection of 20 days ago ends consents on which nothing was declared since, also when it was taken back.
    fn ended(&self, person: &Person) -> bool {
        person.objections.iter().any(|(purpose, _)| self.own(purpose))
            && person.declared.is_none_or(|days| days >= 20)
    }

    fn own(&self, purpose: &str) -> bool {
        purpose == self.purpose.code || Some(purpose) == self.purpose.group.as_deref()
    }

    fn visible(&self, person: &Person) -> bool {
        let state = match person.state.unwrap_or(ContactState::Active) {
            ContactState::Active => true,
            ContactState::Restricted => self.purpose.allowed_restricted,
            ContactState::Retained => self.purpose.allowed_retained,
            ContactState::Erased => false,
        };
        let ground = match self.purpose.grounds {
            Grounds::Consent => {
                self.covers(person, &[Channel::Email, Channel::Phone, Channel::Sms, Channel::Post])
            }
            Grounds::Recorded => person.grounds.iter().any(|(purpose, since, until)| {
                *purpose == self.purpose.code && *since >= 0 && until.is_none_or(|days| days > 0)
            }),
            Grounds::EveryContact => true,
            Grounds::None => false,
        };
        let objected = person.objections.iter().any(|(purpose, ended)| self.own(purpose) && ended.is_none());
        let objectable =
            matches!(self.purpose.basis, Some(LegalBasis::LegitimateInterests | LegalBasis::PublicTask));
        state && ground && !(objectable && objected)
    }

    fn rows(&self, ty: &'static str, of: Option<usize>) -> Vec<Row> {
        let mut rows = Vec::new();
        for (index, person) in
            self.persons.iter().enumerate().filter(|(index, _)| of.is_none_or(|of| of == *index))
        {
            let (visible, all) = (self.visible(person), self.purpose.sees_all);
            let purposes: Vec<Option<&str>> = match ty {
                "Contact" | "Provenance" => vec![None],
                "ContactPoint" => person.points.iter().map(|_| None).collect(),
                "Consent" => person.consents.iter().map(|consent| Some(consent.0)).collect(),
                "Ground" => person.grounds.iter().map(|ground| Some(ground.0)).collect(),
                "Objection" => person.objections.iter().map(|objection| Some(objection.0)).collect(),
                _ => person.requests.iter().map(|_| Some("")).collect(),
            };
            for (part, purpose) in purposes.into_iter().enumerate() {
                let seen = purpose.is_none_or(|purpose| all || self.own(purpose));
                if seen && (visible || (ty == "PrivacyRequest" && all)) {
                    rows.push(Row { ty, person: index, part });
                }
            }
        }
        rows
    }

    /// The value in the database, before any decision.
    fn raw(&self, row: &Row, field: &str) -> Value {
        let person = &self.persons[row.person];
        let sub = person.number * 100 + row.part as u128;
        match (row.ty, field) {
            ("Contact", "id") => json!(id(0, person.number)),
            ("Contact", "givenName") => json!(person.given_name),
            ("Contact", "familyName") => json!(person.family_name),
            ("Contact", "email") => json!(person.email),
            ("Contact", "phone") => json!(person.phone),
            ("Contact", "city") => json!(person.city),
            ("Contact", "country") => json!("Germany"),
            ("Contact", "notes") => json!(person.notes),
            ("Contact", "birthDate") => json!(person.birth_date),
            ("Contact", "state") => json!(person.state.unwrap_or(ContactState::Active).to_value()),
            ("Contact", "version") => json!(1),
            ("Consent", "id") => json!(id(1, sub)),
            ("Consent", "channel") => json!(person.consents[row.part].1.to_value()),
            ("Consent", "status") => match person.consents[row.part] {
                (_, _, ConsentStatus::Granted, Some(days), _) if days <= 0 => json!("EXPIRED"),
                (_, _, status, ..) => json!(status.to_value()),
            },
            ("Contact", "preferenceUrl") => person.email.map_or(Value::Null, |email| {
                let preference = Preference {
                    contact: id(0, person.number),
                    purpose: self.purpose.code.clone(),
                    mailbox: link_tokens::Mailbox::Key(email_key(email)),
                };
                let token = link_tokens::preference(self.ring, &preference).unwrap();
                json!(format!("https://crm.example/p/{token}"))
            }),
            ("Consent", "reviewDueAt") => {
                person.consents[row.part].3.map_or(Value::Null, |days| at(days - 20))
            }
            ("Consent", "reviewDue") => {
                let (_, _, status, expires, _) = person.consents[row.part];
                json!(status == ConsentStatus::Granted && expires.is_some_and(|days| days > 0 && days <= 20))
            }
            ("Consent", "expiresAt") => person.consents[row.part].3.map_or(Value::Null, at),
            ("Ground", "id") => json!(id(3, sub)),
            ("Ground", "since") => at(-person.grounds[row.part].1),
            ("Ground", "reference") => json!(format!("contract {}", person.number)),
            ("Objection", "id") => json!(id(4, sub)),
            ("Objection", "objectedAt") => at(-20),
            ("PrivacyRequest", "id") => json!(id(5, sub)),
            ("PrivacyRequest", "kind") => json!(person.requests[row.part].0.to_value()),
            ("PrivacyRequest", "dueAt") => at(person.requests[row.part].1),
            ("PrivacyRequest", "overdue") => json!(person.requests[row.part].1 < 0),
            ("ContactPoint", "id") => json!(id(6, sub)),
            ("ContactPoint", "email") => json!(person.points[row.part]),
            ("Provenance", "id") => json!(id(7, person.number)),
            ("Provenance", "fields") => json!(["email"]),
            _ => panic!("{} {field}", row.ty),
        }
    }

    /// Null where the channel is not covered.
    fn held(&self, row: &Row, field: &str) -> (Value, bool) {
        let person = &self.persons[row.person];
        let channels: &[Channel] = match field {
            "email" | "preferenceUrl" => &[Channel::Email],
            "phone" => &[Channel::Phone, Channel::Sms],
            _ => return (self.raw(row, field), true),
        };
        // No consent of this world was given for a further contact point.
        let covered = self.purpose.grounds != Grounds::Consent
            || (row.ty == "Contact" && self.covers(person, channels));
        (if covered { self.raw(row, field) } else { Value::Null }, covered)
    }

    fn resolve(&self, value: &Ast) -> Value {
        match value {
            Ast::Variable(name) => self.variables[name.as_str()].clone(),
            other => {
                let constant: Given = other.clone().into_const_with(|_| Err(())).unwrap();
                constant.into_json().unwrap()
            }
        }
    }

    fn argument(&self, field: &Field, name: &str) -> Value {
        field.get_argument(name).map_or(Value::Null, |value| self.resolve(&value.node))
    }

    fn keep(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().all(|directive| {
            let condition = self.resolve(&directive.node.get_argument("if").unwrap().node) == json!(true);
            condition == (directive.node.name.node.as_str() == "include")
        })
    }

    fn flatten<'d>(&self, set: &'d SelectionSet, out: &mut Vec<(String, Vec<&'d Field>)>)
    where
        Self: 'd,
    {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if self.keep(&field.node.directives) => {
                    let key = field.node.response_key().node.to_string();
                    match out.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, nodes)) => nodes.push(&field.node),
                        None => out.push((key, vec![&field.node])),
                    }
                }
                Selection::InlineFragment(inline) if self.keep(&inline.node.directives) => {
                    self.flatten(&inline.node.selection_set.node, out);
                }
                Selection::FragmentSpread(spread) if self.keep(&spread.node.directives) => {
                    self.flatten(self.fragment(spread.node.fragment_name.node.as_str()), out);
                }
                _ => {}
            }
        }
    }

    fn object(&mut self, ty: &'static str, row: Option<&Row>, sets: &[&SelectionSet]) -> Value {
        let mut fields = Vec::new();
        for set in sets {
            self.flatten(set, &mut fields);
        }
        let fields: Vec<(String, Vec<Field>)> =
            fields.into_iter().map(|(key, nodes)| (key, nodes.into_iter().cloned().collect())).collect();
        let mut out = Map::new();
        for (key, nodes) in fields {
            let value = self.field(ty, row, &nodes);
            out.insert(key, value);
        }
        Value::Object(out)
    }

    /// One field. Without a row only decisions are taken: denials are told for zero rows too.
    fn field(&mut self, ty: &'static str, row: Option<&Row>, nodes: &[Field]) -> Value {
        let name = nodes[0].name.node.to_string();
        if name == "__typename" {
            return json!(ty);
        }
        let coordinate = format!("{ty}.{name}");
        let field = registry::object(ty).unwrap().field(&name).unwrap();
        let decision = self.decide(&coordinate);
        let target = match field.source {
            FieldSource::One { object, .. }
            | FieldSource::Many { object, .. }
            | FieldSource::Connection { object, .. } => Some(object),
            _ => None,
        };
        let readable = target
            .is_none_or(|object| self.decide(&format!("{}.{}", object.name, object.key)) == Decision::Allow);
        if decision == Decision::Deny || !readable {
            self.denied.insert(coordinate);
            return Value::Null;
        }
        let sets: Vec<&SelectionSet> = nodes.iter().map(|node| &node.selection_set.node).collect();
        match (field.source, target) {
            (FieldSource::One { .. }, Some(object)) => {
                self.object(object.name, None, &sets);
                let Some(row) = row else { return Value::Null };
                let other = match object.name {
                    "Contact" => self.rows("Contact", Some(row.person)).into_iter().next(),
                    _ => panic!("{coordinate}"),
                };
                other.map_or(Value::Null, |other| self.object(object.name, Some(&other), &sets))
            }
            (FieldSource::Many { .. }, Some(object)) => {
                self.object(object.name, None, &sets);
                let Some(row) = row else { return Value::Null };
                let rows = self.rows(object.name, Some(row.person));
                rows.iter().map(|row| self.object(object.name, Some(row), &sets)).collect()
            }
            (FieldSource::Connection { .. }, Some(object)) => {
                let rows = row.map(|row| self.rows(object.name, Some(row.person)));
                self.connection(object.name, rows, &nodes[0], &sets)
            }
            _ => {
                if decision == Decision::Mask {
                    self.masked.insert(coordinate.clone());
                }
                let Some(row) = row else { return Value::Null };
                let (value, covered) = self.held(row, &name);
                if !covered {
                    *self.withheld.entry(coordinate).or_default() += 1;
                    return Value::Null;
                }
                match (decision, &value) {
                    (Decision::Allow, _) | (_, Value::Null) => value,
                    (_, Value::String(text)) if name == "city" => {
                        json!(format!("{}***", text.chars().next().unwrap()))
                    }
                    (_, Value::String(text)) if name == "birthDate" => json!(text[..4]),
                    _ => panic!("{coordinate} has no mask here"),
                }
            }
        }
    }

    fn holds(&self, row: &Row, filter: &Value) -> bool {
        filter.as_object().unwrap().iter().all(|(name, test)| match name.as_str() {
            "and" => test.as_array().unwrap().iter().all(|part| self.holds(row, part)),
            "or" => test.as_array().unwrap().iter().any(|part| self.holds(row, part)),
            "not" => !self.holds(row, test),
            // What is so or not of a row.
            "reviewDue" | "overdue" => self.held(row, name).0 == *test,
            name => {
                let value = match self.held(row, name).0 {
                    Value::String(text) if name != "status" && name != "channel" => json!(fold(&text)),
                    value => value,
                };
                test.as_object().unwrap().iter().all(|(operator, operand)| {
                    let operand_text = operand.as_str().map(fold).unwrap_or_default();
                    match operator.as_str() {
                        "isNull" => value.is_null() == (*operand == json!(true)),
                        _ if value.is_null() => false,
                        "eq" if name == "status" || name == "channel" => value == *operand,
                        "eq" => value == json!(operand_text),
                        "startsWith" => value.as_str().unwrap().starts_with(&operand_text),
                        "contains" => value.as_str().unwrap().contains(&operand_text),
                        other => panic!("{other}"),
                    }
                })
            }
        })
    }

    /// Names of fields a filter compares.
    fn compared(filter: &Value, out: &mut Vec<String>) {
        for (name, test) in filter.as_object().into_iter().flatten() {
            match name.as_str() {
                "and" | "or" => test.as_array().unwrap().iter().for_each(|part| Self::compared(part, out)),
                "not" => Self::compared(test, out),
                name => out.push(name.to_owned()),
            }
        }
    }

    /// A connection; `None` when a filter or order is forbidden.
    fn connection(
        &mut self,
        ty: &'static str,
        rows: Option<Vec<Row>>,
        node: &Field,
        sets: &[&SelectionSet],
    ) -> Value {
        let filter = self.argument(node, "filter");
        let order = self.argument(node, "orderBy");
        let mut rows = rows;
        if let Some(rows) = &mut rows {
            if !filter.is_null() {
                rows.retain(|row| self.holds(row, &filter));
            }
            // Ties go in the direction of the last step.
            if order.as_array().and_then(|steps| steps.last()).is_some_and(|step| step["direction"] == "DESC")
            {
                rows.reverse();
            }
            for step in order.as_array().into_iter().flatten().rev() {
                let name = if step["field"] == "FAMILY_NAME" { "familyName" } else { "email" };
                let key = |row: &Row| self.held(row, name).0.as_str().map(fold);
                rows.sort_by(|a, b| {
                    // Missing values last when ascending.
                    let ascending = match (key(a), key(b)) {
                        (None, None) => std::cmp::Ordering::Equal,
                        (None, _) => std::cmp::Ordering::Greater,
                        (_, None) => std::cmp::Ordering::Less,
                        (a, b) => a.cmp(&b),
                    };
                    if step["direction"] == "DESC" { ascending.reverse() } else { ascending }
                });
            }
        }
        let total = rows.as_ref().map_or(0, Vec::len);
        let first = self.argument(node, "first").as_u64().map(|first| usize::try_from(first).unwrap());
        let last = self.argument(node, "last").as_u64().map(|last| usize::try_from(last).unwrap());
        let (from, to) = match (first, last) {
            (_, Some(last)) => (total.saturating_sub(last), total),
            (first, None) => (0, first.unwrap_or(50).min(total)),
        };
        let mut fields = Vec::new();
        for set in sets {
            self.flatten(set, &mut fields);
        }
        let fields: Vec<(String, Vec<Field>)> =
            fields.into_iter().map(|(key, nodes)| (key, nodes.into_iter().cloned().collect())).collect();
        let mut out = Map::new();
        for (key, nodes) in fields {
            let inner: Vec<&SelectionSet> = nodes.iter().map(|node| &node.selection_set.node).collect();
            let value = match nodes[0].name.node.as_str() {
                "totalCount" => {
                    let plural = if ty == "PrivacyRequest" { "Request" } else { ty };
                    let coordinate = format!("{plural}Connection.totalCount");
                    if self.decide(&coordinate) == Decision::Allow {
                        json!(total)
                    } else {
                        self.denied.insert(coordinate);
                        Value::Null
                    }
                }
                "nodes" => {
                    self.object(ty, None, &inner);
                    let page: Vec<Row> =
                        rows.iter().flatten().skip(from).take(to - from).map(|row| Row { ..*row }).collect();
                    page.iter().map(|row| self.object(ty, Some(row), &inner)).collect()
                }
                "pageInfo" => {
                    json!({ "hasNextPage": to < total && last.is_none(), "hasPreviousPage": from > 0 })
                }
                other => panic!("{other}"),
            };
            out.insert(key, value);
        }
        if rows.is_some() { Value::Object(out) } else { Value::Null }
    }

    fn answer(&mut self) -> (Value, Vec<String>) {
        let DocumentOperations::Single(operation) = &self.document.operations else {
            panic!("one operation")
        };
        let mut roots = Vec::new();
        self.flatten(&operation.node.selection_set.node, &mut roots);
        let roots: Vec<(String, Vec<Field>)> =
            roots.into_iter().map(|(key, nodes)| (key, nodes.into_iter().cloned().collect())).collect();
        let (mut data, mut refused) = (Map::new(), Vec::new());
        for (key, nodes) in roots {
            let name = nodes[0].name.node.to_string();
            let sets: Vec<&SelectionSet> = nodes.iter().map(|node| &node.selection_set.node).collect();
            let ty = match name.as_str() {
                "__typename" => {
                    data.insert(key, json!("Query"));
                    continue;
                }
                "contact" | "contacts" => "Contact",
                "consents" => "Consent",
                _ => "PrivacyRequest",
            };
            let root = format!("Query.{name}");
            let mut compared = Vec::new();
            Self::compared(&self.argument(&nodes[0], "filter"), &mut compared);
            for step in self.argument(&nodes[0], "orderBy").as_array().into_iter().flatten() {
                compared.push(if step["field"] == "FAMILY_NAME" {
                    "familyName".into()
                } else {
                    "email".into()
                });
            }
            let forbidden =
                compared.iter().find(|field| self.decide(&format!("{ty}.{field}")) != Decision::Allow);
            let value = if !self.table.allows(self.policy.object(&root).unwrap(), Action::Execute) {
                refused.push(format!("FORBIDDEN {root}"));
                Value::Null
            } else if self.decide(&format!("{ty}.id")) != Decision::Allow {
                refused.push(format!("FORBIDDEN_FIELD {root}"));
                Value::Null
            } else if let Some(field) = forbidden {
                refused.push(format!("FORBIDDEN_FIELD {ty}.{field}"));
                Value::Null
            } else if name == "contact" {
                self.object(ty, None, &sets);
                let wanted = self.argument(&nodes[0], "id");
                let found = self.rows(ty, None).into_iter().find(|row| self.raw(row, "id") == wanted);
                found.map_or(Value::Null, |row| self.object(ty, Some(&row), &sets))
            } else {
                let rows = self.rows(ty, None);
                self.connection(ty, Some(rows), &nodes[0], &sets)
            };
            data.insert(key, value);
        }
        (Value::Object(data), refused)
    }
}

impl<'a> Reference<'a> {
    fn fragment<'d>(&self, name: &str) -> &'d SelectionSet
    where
        'a: 'd,
    {
        let document: &'a ExecutableDocument = self.document;
        let (_, fragment) = document.fragments.iter().find(|(known, _)| known.as_str() == name).unwrap();
        &fragment.node.selection_set.node
    }
}

/// Writes random documents that are valid: a response key always stands for the same field and arguments.
struct Writer {
    random: StdRng,
    fragments: Vec<String>,
}

impl Writer {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn directive(&mut self) -> &'static str {
        let all = [
            "@include(if: $yes)",
            "@skip(if: $no)",
            "@include(if: $no)",
            "@skip(if: true)",
            "@include(if: true)",
        ];
        if self.chance(20) { all.choose(&mut self.random).unwrap() } else { "" }
    }

    fn filter(&mut self, depth: u32) -> String {
        if depth < 3 && self.chance(40) {
            let (a, b) = (self.filter(depth + 1), self.filter(depth + 1));
            return match self.random.random_range(0..3) {
                0 => format!("{{ and: [{a}, {b}] }}"),
                1 => format!("{{ or: [{a}, {b}] }}"),
                _ => format!("{{ not: {a} }}"),
            };
        }
        let field = *["familyName", "givenName", "email", "phone", "city"].choose(&mut self.random).unwrap();
        let tests = [
            "eq: \"köhler\"",
            "startsWith: \"A\"",
            "contains: \"an\"",
            "isNull: true",
            "isNull: false",
            "contains: \"@\"",
        ];
        format!("{{ {field}: {{ {} }} }}", tests.choose(&mut self.random).unwrap())
    }

    /// Sometimes a filter by what is so or not of a row.
    fn flags(&mut self, name: &str) -> String {
        let flag = |random: &mut Self| format!("{{ {name}: {} }}", random.chance(50));
        match self.random.random_range(0..4) {
            0 | 1 => String::new(),
            2 => format!("(filter: {})", flag(self)),
            _ => format!("(filter: {{ not: {} }})", flag(self)),
        }
    }

    /// Selections of a type, at least one.
    fn selections(&mut self, ty: &str, depth: u32) -> String {
        let scalars: &[&str] = match ty {
            "Contact" => &[
                "id",
                "givenName",
                "familyName",
                "email",
                "phone",
                "city",
                "country",
                "notes",
                "birthDate",
                "state",
                "version",
                "preferenceUrl",
                "__typename",
            ],
            "Consent" => &["id", "channel", "status", "expiresAt", "reviewDueAt", "reviewDue"],
            "Ground" => &["id", "since", "reference"],
            "Objection" => &["id", "objectedAt"],
            "PrivacyRequest" => &["id", "kind", "dueAt", "overdue"],
            "ContactPoint" => &["id", "email"],
            _ => &["id", "fields"],
        };
        let mut out = String::new();
        for _ in 0..self.random.random_range(1..5) {
            match self.random.random_range(0..10) {
                0 if depth < 4 => {
                    let inner = self.selections(ty, depth + 1);
                    let on = if self.chance(50) { format!("on {ty}") } else { String::new() };
                    let directive = self.directive();
                    write!(out, " ... {on} {directive} {{ {inner} }}").unwrap();
                }
                1 if depth < 4 => {
                    let inner = self.selections(ty, depth + 1);
                    let name = format!("F{}", self.fragments.len());
                    self.fragments.push(format!("fragment {name} on {ty} {{ {inner} }}"));
                    let directive = self.directive();
                    write!(out, " ...{name} {directive} ...{name}").unwrap();
                }
                2 | 3 if depth < 3 && ty == "Contact" => {
                    let (field, of) = *[
                        ("grounds", "Ground"),
                        ("objections", "Objection"),
                        ("contactPoints", "ContactPoint"),
                        ("provenance", "Provenance"),
                    ]
                    .choose(&mut self.random)
                    .unwrap();
                    let inner = self.selections(of, depth + 1);
                    write!(out, " {field} {{ {inner} }}").unwrap();
                }
                4 if depth < 3 && ty == "Contact" => {
                    let (field, of) = *[("consents", "Consent"), ("requests", "PrivacyRequest")]
                        .choose(&mut self.random)
                        .unwrap();
                    let first = self.random.random_range(1..3);
                    let inner = self.selections(of, depth + 1);
                    let total = if self.chance(40) { "totalCount" } else { "" };
                    write!(out, " {field}{first}: {field}(first: {first}) {{ {total} nodes {{ {inner} }} }}")
                        .unwrap();
                }
                5 if depth < 4 && (ty == "Consent" || ty == "PrivacyRequest") => {
                    let inner = self.selections("Contact", depth + 1);
                    write!(out, " contact {{ {inner} }}").unwrap();
                }
                _ => {
                    let field = scalars.choose(&mut self.random).unwrap();
                    let alias = if self.chance(30) { format!("a_{field}: ") } else { String::new() };
                    let directive = self.directive();
                    write!(out, " {alias}{field} {directive}").unwrap();
                }
            }
        }
        // Never empty, even when everything else is skipped.
        out + " id"
    }

    fn document(&mut self) -> String {
        let mut out = String::from("query($yes: Boolean!, $no: Boolean!, $one: ID!) {");
        for root in 0..self.random.random_range(1..4) {
            match self.random.random_range(0..6) {
                0 => {
                    let inner = self.selections("Contact", 1);
                    write!(out, " contact(id: $one) {{ {inner} }} contact(id: $one) {{ id }}").unwrap();
                }
                1 => {
                    let inner = self.selections("Consent", 1);
                    let filter = self.flags("reviewDue");
                    write!(out, " c{root}: consents{filter} {{ nodes {{ {inner} }} }}").unwrap();
                }
                2 => {
                    let inner = self.selections("PrivacyRequest", 1);
                    let filter = self.flags("overdue");
                    write!(out, " q{root}: privacyRequests{filter} {{ totalCount nodes {{ {inner} }} }}")
                        .unwrap();
                }
                _ => {
                    let mut arguments = format!(
                        "{}: {}",
                        if self.chance(70) { "first" } else { "last" },
                        self.random.random_range(1..12)
                    );
                    if self.chance(40) {
                        let filter = self.filter(0);
                        write!(arguments, ", filter: {filter}").unwrap();
                    }
                    if self.chance(40) {
                        let field = if self.chance(50) { "FAMILY_NAME" } else { "EMAIL" };
                        let direction = if self.chance(50) { "ASC" } else { "DESC" };
                        write!(arguments, ", orderBy: [{{ field: {field}, direction: {direction} }}]")
                            .unwrap();
                    }
                    let (inner, more) = (self.selections("Contact", 1), self.selections("Contact", 1));
                    let total = if self.chance(20) {
                        "totalCount"
                    } else {
                        "pageInfo { hasNextPage hasPreviousPage }"
                    };
                    write!(out, " r{root}: contacts({arguments}) {{ {total} nodes {{ {inner} }} }} r{root}: contacts({arguments}) {{ nodes {{ {more} }} }}").unwrap();
                }
            }
        }
        // Every variable is used (async-graphql does not count directives on __typename).
        out.push_str(" __typename x: contact(id: $one) @include(if: $yes) @skip(if: $no) { id } } ");
        out.push_str(&self.fragments.drain(..).collect::<Vec<_>>().join(" "));
        out
    }
}

#[tokio::test]
async fn random_documents_get_the_same_answer_as_from_the_naive_interpreter() {
    let policy = crate::policy::shipped().await;
    let persons = persons();
    for (backend, World { test, client }) in worlds().await.into_iter().enumerate() {
        let mut random = Writer { random: StdRng::seed_from_u64(20_261_123), fragments: Vec::new() };
        let mut interesting = 0;
        let ring = audit::installation_keys(&test.app).await.unwrap().clone();
        for (role, purpose) in [
            ("marketing", "newsletter"),
            ("marketing", "event_invitations"),
            ("marketing", "consent_management"),
            ("support", "customer_care"),
            ("dpo", "rights_fulfilment"),
            ("partner", "newsletter"),
        ] {
            let caller = test.caller(role, purpose).await;
            for _ in 0..150 {
                let text = random.document();
                let variables =
                    json!({ "yes": true, "no": false, "one": id(0, random.random.random_range(1..12)) });
                let document = parse_query(&text).unwrap();
                let mut reference = Reference {
                    persons: &persons,
                    purpose: policy.purpose(purpose).unwrap(),
                    policy: &policy,
                    table: policy.table(&[role.to_owned()], purpose, None).unwrap(),
                    document: &document,
                    variables: variables.as_object().unwrap(),
                    denied: BTreeSet::new(),
                    masked: BTreeSet::new(),
                    withheld: BTreeMap::new(),
                    ring: &ring,
                };
                let (data, refused) = reference.answer();
                let answer = client.ask_with(&caller, &text, variables.clone()).await;
                // By a plan that is made without validation, and by one that is kept.
                for _ in 0..2 {
                    let mut again = client.ask_with(&caller, &text, variables.clone()).await;
                    let errors = again.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten();
                    let before = answer["errors"].as_array().into_iter().flatten();
                    for (error, before) in errors.zip(before) {
                        error["extensions"]["requestId"] = before["extensions"]["requestId"].clone();
                    }
                    assert_eq!(again, answer, "{backend} {role} {purpose}\n{text}\n{variables}");
                }
                let shown = format!("{backend} {role} {purpose}\n{text}\n{variables}\n{answer}");
                assert_eq!(answer["data"].to_string(), data.to_string(), "{shown}");
                let denied =
                    reference.denied.iter().map(|coordinate| format!("FORBIDDEN_FIELD {coordinate}"));
                let mut expected: Vec<String> = denied.chain(refused).collect();
                expected.sort();
                expected.dedup();
                let mut told = problems(&answer);
                told.dedup();
                assert_eq!(told, expected, "{shown}");
                let masked: BTreeSet<String> = answer["extensions"]["masked"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|coordinate| coordinate.as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(masked, reference.masked, "{shown}");
                let withheld: BTreeMap<String, u64> = answer["extensions"]["withheld"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|entry| {
                        (entry["coordinate"].as_str().unwrap().to_owned(), entry["count"].as_u64().unwrap())
                    })
                    .collect();
                assert_eq!(withheld, reference.withheld, "{shown}");
                interesting += u32::from(expected.is_empty() && data.to_string().len() > 200);
            }
        }
        assert!(interesting > 100, "only {interesting} documents told much");
    }
}
