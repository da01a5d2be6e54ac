//! Looks at a policy as a whole: every right as a list, what a change gains and loses, rules that change nothing (floor 1).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, Decision, Grounds, Policy,
    load::Line,
    objects::{Kind, Object},
    table::Table,
};

/// A right that a role has for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holding {
    /// Code of the purpose.
    pub purpose: String,
    /// The role, without prefix.
    pub role: String,
    /// E.g. `Contact.email`, `Mutation.updateContact`, `token:role:partner`.
    pub object: String,
    /// `read`, `mask`, `create`, `update`, `execute` or `grant`.
    pub right: &'static str,
}

/// What is allowed but odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of `policy.csv`, or 0 for the policy as a whole.
    pub line: usize,
    /// Stable code, e.g. `IDLE_RULE`.
    pub code: &'static str,
    /// What is odd, for people.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{} [{}]", self.message, self.code),
            line => write!(f, "policy.csv:{line}: {} [{}]", self.message, self.code),
        }
    }
}

/// Which part of a policy is looked at; what is `None` is not narrowed.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Only this role.
    pub role: Option<String>,
    /// Only this purpose.
    pub purpose: Option<String>,
    /// Only objects of this type, e.g. `Contact`, `Mutation`.
    pub type_name: Option<String>,
}

/// The rights of a table on an object. Who reads in full does not read masked.
fn rights(table: &Table, id: super::ObjectId) -> Vec<&'static str> {
    let mut rights = match table.decide(id) {
        Decision::Allow => vec![Action::Read.as_str()],
        Decision::Mask => vec![Action::Mask.as_str()],
        Decision::Deny => Vec::new(),
    };
    let others = [Action::Create, Action::Update, Action::Execute, Action::Grant];
    rights.extend(others.into_iter().filter(|action| table.allows(id, *action)).map(Action::as_str));
    rights
}

impl Policy {
    /// Every right of every role for every purpose, in that part of the policy.
    pub fn holdings(&self, part: &Part) -> BTreeSet<Holding> {
        let wanted = |of: &Option<String>, name: &str| of.as_ref().is_none_or(|wanted| wanted == name);
        let mut all = BTreeSet::new();
        for purpose in self.purposes().iter().filter(|p| !p.is_group && wanted(&part.purpose, &p.code)) {
            for role in self.roles().iter().filter(|role| wanted(&part.role, role)) {
                let Ok(table) = self.table(std::slice::from_ref(role), &purpose.code, None) else { continue };
                let objects = self.objects.iter().filter(|object| {
                    wanted(&part.type_name, object.name.split(['.', ':']).next().unwrap_or_default())
                });
                for object in objects {
                    let Some(id) = self.object(&object.name) else { continue };
                    all.extend(rights(&table, id).into_iter().map(|right| Holding {
                        purpose: purpose.code.clone(),
                        role: role.clone(),
                        object: object.name.clone(),
                        right,
                    }));
                }
            }
        }
        all
    }

    /// The roles that hold `right` on `object` for `purpose`, in the order of the policy.
    pub fn who_can(&self, object: &str, purpose: &str, right: Action) -> Vec<&str> {
        let Some(id) = self.object(object) else { return Vec::new() };
        let may = |role: &&String| {
            let table = self.table(std::slice::from_ref(role), purpose, None);
            table.is_ok_and(|table| match right {
                Action::Mask => table.decide(id) == Decision::Mask,
                _ => table.allows(id, right),
            })
        };
        self.roles().iter().filter(may).map(String::as_str).collect()
    }

    /// What is allowed but odd.
    pub(super) fn odd(&self) -> Vec<Warning> {
        let whole = |code, message| Warning { line: 0, code, message };
        let unread = self.objects.iter().filter(|object| {
            let names = |name: &String| *name == object.name || object.groups.contains(name);
            object.kind != Kind::Grant
                && !object.derived
                && !self.rules.lines.iter().any(|line| line.allow && names(&line.object))
        });
        let unread = unread.map(|object| {
            whole("UNUSED_OBJECT", format!("no rule ever allows anything on `{}`", object.name))
        });
        let silent = self.declared.purposes.iter().filter(|purpose| {
            purpose.grounds == Grounds::Consent && !self.texts.iter().any(|text| text.purpose == purpose.code)
        });
        let silent = silent.map(|purpose| {
            let message = format!("no consent to `{}` can be recorded: it has no text", purpose.code);
            whole("NO_TEXT", message)
        });
        let idle = self.roles().iter().filter(|role| {
            let own = self.rules.roles.closure(&format!("role:{role}"));
            !self
                .rules
                .lines
                .iter()
                .any(|line| line.allow && line.role != "role:anyone" && own.contains(&line.role))
        });
        let idle = idle
            .map(|role| whole("IDLE_ROLE", format!("role `{role}` may do nothing that not everyone may")));
        unread.chain(silent).chain(idle).chain(self.idle_rules()).collect()
    }

    /// Rules that can be left out without any decision changing.
    fn idle_rules(&self) -> Vec<Warning> {
        type Place<'p> = (&'p str, &'p str, &'p str, &'static str);
        let mut counts: BTreeMap<Place<'_>, (usize, usize)> = BTreeMap::new();
        let matched: Vec<(&Line, Vec<Place<'_>>)> =
            self.rules.lines.iter().map(|line| (line, self.places(line))).collect();
        for (line, places) in &matched {
            for place in places {
                let (allows, denies) = counts.entry(*place).or_default();
                *(if line.allow { allows } else { denies }) += 1;
            }
        }
        let count = |place: &Place<'_>| counts.get(place).copied().unwrap_or_default();
        let idle = matched.iter().filter(|(line, places)| {
            places.iter().all(|place| match (line.allow, line.action) {
                (true, _) => count(place).0 > 1 || count(place).1 > 0,
                // A deny on `read` also denies `mask`.
                (false, Action::Read) => {
                    let masked = (place.0, place.1, place.2, Action::Mask.as_str());
                    count(place).0 == 0 && count(&masked).0 == 0
                }
                (false, _) => count(place).0 == 0,
            })
        });
        idle.map(|(line, _)| Warning {
            line: line.number,
            code: "IDLE_RULE",
            message: "this rule changes nothing: other rules decide everything it speaks about".to_owned(),
        })
        .collect()
    }

    /// Every role, purpose and object that a rule speaks about.
    fn places<'p>(&'p self, line: &Line) -> Vec<(&'p str, &'p str, &'p str, &'static str)> {
        let roles: Vec<&str> = self
            .roles()
            .iter()
            .filter(|role| self.rules.roles.closure(&format!("role:{role}")).contains(&line.role))
            .map(String::as_str)
            .collect();
        let purposes = self.purposes().iter().filter(|purpose| {
            let own = format!("purpose:{}", purpose.code);
            !purpose.is_group && self.rules.purposes.closure(&own).contains(&line.purpose)
        });
        let objects: Vec<&Object> = self
            .objects
            .iter()
            .filter(|object| {
                let named = object.name == line.object || object.groups.contains(&line.object);
                named && !object.derived && object.kind.takes(line.action)
            })
            .collect();
        let mut places = Vec::new();
        for purpose in purposes {
            for role in &roles {
                let of = objects
                    .iter()
                    .map(|object| (*role, purpose.code.as_str(), object.name.as_str(), line.action.as_str()));
                places.extend(of);
            }
        }
        places
    }
}
