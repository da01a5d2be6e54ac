//! Parses `policy.csv` strictly: anything not understood is an error with its line. Room: policy.
//!
//! One rule per line. Blanks around values are ignored, as are empty lines and lines that begin with `#`; there is no
//! quoting. `p, role, purpose, object, action, effect` is a rule, `g, role, role` lets the first role inherit, `g2,
//! purpose, group` puts a purpose into another group. Object links come from the registry.

use std::collections::HashMap;

use super::{
    declared::Declared,
    error::Diagnostics,
    objects::{Action, Kind, Objects},
    purposes::{ANY_PURPOSE, ANY_ROLE},
};
use crate::policy::hierarchy::{LinkError, Links};

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) number: usize,
    pub(super) role: String,
    pub(super) purpose: String,
    pub(super) object: String,
    pub(super) action: Action,
    pub(super) allow: bool,
}

impl Rule {
    /// The values as Casbin expects them.
    pub(super) fn values(&self) -> Vec<String> {
        let effect = if self.allow { "allow" } else { "deny" };
        let words = [self.role.as_str(), &self.purpose, &self.object, self.action.as_str(), effect];
        words.map(str::to_owned).to_vec()
    }
}

/// All rules and links.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) lines: Vec<Rule>,
    pub(super) roles: Links,
    pub(super) purposes: Links,
    /// Lines that use a deprecated object name: line, old name, new name.
    pub(super) old: Vec<(usize, String, String)>,
}

pub(super) fn parse(
    text: &str,
    declared: &Declared,
    objects: &Objects,
    diagnostics: &mut Diagnostics,
) -> Rules {
    let mut loader = Loader { declared, objects, rules: Rules::default(), seen: HashMap::new() };
    for role in &declared.roles {
        // Cannot fail: there are no links yet.
        let _ = loader.rules.roles.add(&format!("role:{}", role.code), &format!("role:{ANY_ROLE}"));
    }
    for purpose in &declared.purposes {
        let name = format!("purpose:{}", purpose.code);
        let _ = loader.rules.purposes.add(&name, &format!("purpose:{ANY_PURPOSE}"));
        if let Some(group) = &purpose.group {
            let _ = loader.rules.purposes.add(&name, &format!("purpose:{group}"));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains('"') {
            diagnostics.add(number, "QUOTED", "values are written without quotation marks");
            continue;
        }
        let values: Vec<&str> = line.split(',').map(str::trim).collect();
        if values.iter().any(|value| value.is_empty()) {
            diagnostics.add(number, "EMPTY_VALUE", "a value is empty");
            continue;
        }
        loader.line(number, &values, diagnostics);
    }
    if loader.rules.lines.is_empty() && diagnostics.is_empty() {
        diagnostics.add(0, "EMPTY_POLICY", "there is no rule; nobody could do anything");
    }
    loader.rules
}

struct Loader<'a> {
    declared: &'a Declared,
    objects: &'a Objects,
    rules: Rules,
    seen: HashMap<Vec<String>, usize>,
}

impl Loader<'_> {
    fn line(&mut self, number: usize, values: &[&str], diagnostics: &mut Diagnostics) {
        match values {
            ["p", role, purpose, object, action, effect] => {
                self.rule(number, [role, purpose, object, action, effect], diagnostics);
            }
            ["g", from, to] => {
                if self.role(number, from, false, diagnostics) & self.role(number, to, false, diagnostics) {
                    link(&mut self.rules.roles, number, from, to, diagnostics);
                }
            }
            ["g2", from, to] => self.group(number, from, to, diagnostics),
            ["g3", ..] => {
                diagnostics.add(number, "LINK_OF_REGISTER", "links of objects come from the registry")
            }
            [kind @ ("p" | "g" | "g2"), ..] => {
                let expected = if *kind == "p" { 6 } else { 3 };
                let message = format!("a `{kind}` line has {expected} values, this one has {}", values.len());
                diagnostics.add(number, "WRONG_WIDTH", message);
            }
            [kind, ..] => {
                diagnostics.add(
                    number,
                    "UNKNOWN_KIND",
                    format!("unknown kind of line `{kind}`; known are p, g, g2"),
                );
            }
            [] => {}
        }
    }

    fn rule(
        &mut self,
        number: usize,
        [role, purpose, object, action, effect]: [&str; 5],
        diagnostics: &mut Diagnostics,
    ) {
        let mut good = self.role(number, role, true, diagnostics);
        good &= self.purpose(number, purpose, true, diagnostics);
        let action = Action::parse(action).or_else(|| {
            let message =
                format!("unknown action `{action}`; known are read, mask, create, update, execute, grant");
            diagnostics.add(number, "UNKNOWN_ACTION", message);
            None
        });
        good &= self.object(number, object, action, diagnostics);
        let allow = match effect {
            "allow" => Some(true),
            "deny" => Some(false),
            // Casbin recognises only these two effects: it would ignore `Deny` and so allow what another line allows.
            _ => {
                let message = format!("unknown effect `{effect}`; known are allow, deny (in small letters)");
                diagnostics.add(number, "UNKNOWN_EFFECT", message);
                None
            }
        };
        let (true, Some(action), Some(allow)) = (good, action, allow) else { return };
        let name = self.objects.named(object).map_or(object, |found| found.name.as_str());
        if name != object {
            self.rules.old.push((number, object.to_owned(), name.to_owned()));
        }
        let line = Rule {
            number,
            role: role.to_owned(),
            purpose: purpose.to_owned(),
            object: name.to_owned(),
            action,
            allow,
        };
        if let Some(first) = self.seen.get(&line.values()) {
            let anew = if name == object { String::new() } else { format!(": `{object}` is `{name}`") };
            diagnostics.add(number, "DUPLICATE_LINE", format!("the same rule is on line {first}{anew}"));
            return;
        }
        self.seen.insert(line.values(), number);
        self.rules.lines.push(line);
    }

    fn role(&self, number: usize, name: &str, anyone: bool, diagnostics: &mut Diagnostics) -> bool {
        let Some(code) = name.strip_prefix("role:") else {
            diagnostics.add(number, "MISSING_PREFIX", format!("`{name}` must begin with `role:`"));
            return false;
        };
        let is_known =
            (anyone && code == ANY_ROLE) || self.declared.roles.iter().any(|role| role.code == code);
        if !is_known {
            diagnostics.add(number, "UNKNOWN_ROLE", format!("unknown role `{code}`"));
        }
        is_known
    }

    fn purpose(&self, number: usize, name: &str, any: bool, diagnostics: &mut Diagnostics) -> bool {
        let Some(code) = name.strip_prefix("purpose:") else {
            diagnostics.add(number, "MISSING_PREFIX", format!("`{name}` must begin with `purpose:`"));
            return false;
        };
        let is_known =
            (any && code == ANY_PURPOSE) || self.declared.purposes.iter().any(|purpose| purpose.code == code);
        if !is_known {
            diagnostics.add(number, "UNKNOWN_PURPOSE", format!("unknown purpose `{code}`"));
        }
        is_known
    }

    fn group(&mut self, number: usize, from: &str, to: &str, diagnostics: &mut Diagnostics) {
        if !(self.purpose(number, from, false, diagnostics) & self.purpose(number, to, false, diagnostics)) {
            return;
        }
        let code = to.trim_start_matches("purpose:");
        if !self.declared.purposes.iter().any(|purpose| purpose.code == code && purpose.is_group) {
            diagnostics.add(number, "NOT_A_GROUP", format!("purpose `{code}` is not a group"));
            return;
        }
        link(&mut self.rules.purposes, number, from, to, diagnostics);
    }

    fn object(
        &self,
        number: usize,
        name: &str,
        action: Option<Action>,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let kind = match self.objects.named(name) {
            Some(object) if object.derived => {
                let message =
                    format!("`{name}` is readable where any field of its type is; it takes no rule");
                diagnostics.add(number, "DERIVED_OBJECT", message);
                return false;
            }
            Some(object) => object.kind,
            None if self.objects.is_group(name) => Kind::Field,
            None => {
                let (code, expected) = match name.split_once(':') {
                    Some(("data" | "type", _)) => ("UNKNOWN_OBJECT", "group of fields"),
                    Some(("token" | "ground", _)) => ("UNKNOWN_OBJECT", "role, purpose or ground to grant"),
                    _ if name.contains('.') => ("UNKNOWN_OBJECT", "field"),
                    _ => ("MISSING_PREFIX", "object, it has no prefix and is no field:"),
                };
                diagnostics.add(number, code, format!("unknown {expected} `{name}`"));
                return false;
            }
        };
        if let Some(action) = action.filter(|action| !kind.takes(*action)) {
            let message = format!("`{}` cannot be done to `{name}`", action.as_str());
            diagnostics.add(number, "ACTION_MISFIT", message);
            return false;
        }
        true
    }
}

fn link(links: &mut Links, number: usize, from: &str, to: &str, diagnostics: &mut Diagnostics) {
    match links.add(from, to) {
        Ok(()) => {}
        Err(LinkError::Known) => {
            diagnostics.add(number, "DUPLICATE_LINE", format!("`{from}` belongs to `{to}` already"));
        }
        Err(LinkError::Cycle) => {
            diagnostics.add(
                number,
                "CYCLE",
                format!("`{to}` belongs to `{from}`, so this would be a circle"),
            );
        }
        Err(LinkError::TooLong) => {
            diagnostics.add(
                number,
                "CHAIN_TOO_LONG",
                "a chain of more than 9 links would silently not match",
            );
        }
    }
}
