//! Analyses a policy as a whole: lists every permission, compares two policies, and finds rules without effect.
//! Room: policy.

use std::collections::{BTreeSet, HashSet};

use super::{
    Action, Decision, Grounds, Policy,
    objects::Kind,
    rights::{Permission, PermissionFilter, Warning},
    table::DecisionTable,
};
use crate::policy::rule_index::RuleIndex;

/// The rights that a table grants on an object. Full read access implies masked access.
fn rights(table: &DecisionTable, id: super::ObjectId) -> Vec<&'static str> {
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
    /// All permissions of the filtered roles, purposes and types.
    pub fn permissions(&self, filter: &PermissionFilter) -> BTreeSet<Permission> {
        let wanted = |of: &Option<String>, name: &str| of.as_ref().is_none_or(|wanted| wanted == name);
        let mut all = BTreeSet::new();
        for purpose in self.purposes().iter().filter(|p| !p.is_group && wanted(&filter.purpose, &p.code)) {
            for role in self.roles().iter().filter(|role| wanted(&filter.role, role)) {
                let Ok(table) = self.table(std::slice::from_ref(role), &purpose.code, None) else { continue };
                let objects = self.objects.iter().filter(|object| {
                    wanted(&filter.type_name, object.name.split(['.', ':']).next().unwrap_or_default())
                });
                for object in objects {
                    let Some(id) = self.object(&object.name) else { continue };
                    all.extend(rights(&table, id).into_iter().map(|right| Permission {
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

    /// All fields that a role may not read for a purpose, not even masked, within the filter.
    pub fn denials(&self, filter: &PermissionFilter) -> BTreeSet<Permission> {
        let wanted = |of: &Option<String>, name: &str| of.as_ref().is_none_or(|wanted| wanted == name);
        let mut all = BTreeSet::new();
        for purpose in self.purposes().iter().filter(|p| !p.is_group && wanted(&filter.purpose, &p.code)) {
            for role in self.roles().iter().filter(|role| wanted(&filter.role, role)) {
                let Ok(table) = self.table(std::slice::from_ref(role), &purpose.code, None) else { continue };
                // Objects in a data category are values; all others are ways to reach values.
                let fields = self.objects.iter().filter(|object| {
                    object.groups.iter().any(|group| group.starts_with("data:"))
                        && wanted(&filter.type_name, object.name.split(['.', ':']).next().unwrap_or_default())
                });
                for object in fields {
                    let Some(id) = self.object(&object.name) else { continue };
                    if table.decide(id) == Decision::Deny {
                        all.insert(Permission {
                            purpose: purpose.code.clone(),
                            role: role.clone(),
                            object: object.name.clone(),
                            right: Action::Read.as_str(),
                        });
                    }
                }
            }
        }
        all
    }

    /// The roles that hold `right` on `object` for `purpose`, in policy order.
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

    /// Whether `role` may do more for `purpose` than everyone may.
    pub fn has_own_permissions(&self, role: &str, purpose: &str) -> bool {
        let roles = self.rules.roles.closure(&format!("role:{role}"));
        let purposes = self.rules.purposes.closure(&format!("purpose:{purpose}"));
        let mut lines = self.rules.lines.iter();
        lines.any(|line| {
            line.allow
                && line.role != "role:anyone"
                && roles.contains(&line.role)
                && purposes.contains(&line.purpose)
        })
    }

    /// Whether a credential with these roles, restricted to `fields`, may do anything to one of them for the purpose.
    pub fn can_use(&self, roles: &[String], purpose: &str, fields: &[String]) -> bool {
        let Ok(table) = self.table(roles, purpose, Some(fields)) else { return false };
        fields.iter().any(|field| self.object(field).is_some_and(|id| !rights(&table, id).is_empty()))
    }

    /// The fields that any of these roles may use for the purpose. Ids are excluded because they follow from the
    /// other fields.
    pub fn usable_fields(&self, roles: &[String], purpose: &str) -> BTreeSet<&str> {
        let table = self.table(roles, purpose, None).ok();
        let of_use = |name: &str| {
            let found = self.object(name).zip(table.as_ref());
            found.is_some_and(|(id, table)| !rights(table, id).is_empty())
        };
        let fields = self.objects.iter().filter(|object| object.kind == Kind::Field && !object.derived);
        fields.map(|object| object.name.as_str()).filter(|name| of_use(name)).collect()
    }

    /// Questionable but valid rules.
    pub(super) fn find_warnings(&self) -> Vec<Warning> {
        let warning = |code, message| Warning { line: 0, code, message };
        let allows = || self.rules.lines.iter().filter(|line| line.allow);
        let named: HashSet<&str> = allows().map(|line| line.object.as_str()).collect();
        let unread = self.objects.iter().filter(|object| {
            let mut names = std::iter::once(&object.name).chain(&object.groups);
            object.kind != Kind::Grant && !object.derived && !names.any(|name| named.contains(name.as_str()))
        });
        let unread = unread.map(|object| {
            warning("UNUSED_OBJECT", format!("no rule ever allows anything on `{}`", object.name))
        });
        let silent = self.declared.purposes.iter().filter(|purpose| {
            purpose.grounds == Grounds::Consent && !self.texts.iter().any(|text| text.purpose == purpose.code)
        });
        let silent = silent.map(|purpose| {
            let message = format!("no consent to `{}` can be recorded: it has no text", purpose.code);
            warning("NO_TEXT", message)
        });
        let denies = self.rules.lines.iter().filter(|line| !line.allow).map(|line| line.role.as_str());
        let denies = denies.filter(|role| *role != "role:anyone");
        let holders: HashSet<&str> =
            allows().map(|line| line.role.as_str()).filter(|role| *role != "role:anyone").collect();
        // A role that only denies is useful in combination with other roles.
        let holders: HashSet<&str> = holders.into_iter().chain(denies).collect();
        let idle = self.roles().iter().filter(|role| {
            let inherited = self.rules.roles.closure(&format!("role:{role}"));
            !inherited.iter().any(|role| holders.contains(role.as_str()))
        });
        let idle = idle.map(|role| {
            warning("IDLE_ROLE", format!("role `{role}` has no permission that not everyone has"))
        });
        let old = self.rules.old.iter().map(|(line, old, name)| Warning {
            line: *line,
            code: "OLD_NAME",
            message: format!("`{old}` is now called `{name}`; the old name works until the next version"),
        });
        unread.chain(silent).chain(idle).chain(self.idle_rules()).chain(old).collect()
    }

    /// Rules whose removal would not change any decision.
    fn idle_rules(&self) -> Vec<Warning> {
        let mut needed = vec![false; self.rules.lines.len()];
        let pairs = RuleIndex::new(&self.rules, &self.declared, &self.objects);
        // Credentials have several roles: a deny in one removes what another allows.
        let mut allowed: HashSet<(&str, usize, Action)> = HashSet::new();
        let each = pairs.each::<std::convert::Infallible>(|_, purpose, cells| {
            for (&(object, action), lines) in cells {
                if lines.iter().any(|line| self.allows(*line) == Some(true)) {
                    allowed.insert((purpose, object, action));
                }
            }
            Ok(())
        });
        let Ok(()) = each;
        let each = pairs.each::<std::convert::Infallible>(|_, purpose, cells| {
            let count = |cell: (usize, Action), allow: bool| {
                let lines = cells.get(&cell).map(Vec::as_slice).unwrap_or_default();
                lines.iter().filter(|line| self.allows(**line) == Some(allow)).count()
            };
            for (cell @ (object, action), lines) in cells {
                let (allows, denies) = (count(*cell, true), count(*cell, false));
                // A deny of `read` also denies `mask`.
                let takes = allowed.contains(&(purpose, *object, *action))
                    || (*action == Action::Read && allowed.contains(&(purpose, *object, Action::Mask)));
                for line in lines {
                    let is_needed = match self.allows(*line) {
                        Some(true) => allows == 1 && denies == 0,
                        _ => takes,
                    };
                    if let (true, Some(needed)) = (is_needed, needed.get_mut(*line)) {
                        *needed = true;
                    }
                }
            }
            Ok(())
        });
        let Ok(()) = each;
        let idle = self.rules.lines.iter().zip(needed).filter(|(_, needed)| !needed);
        idle.map(|(line, _)| Warning {
            line: line.number,
            code: "IDLE_RULE",
            message: "this rule has no effect: other rules decide everything it matches".to_owned(),
        })
        .collect()
    }

    /// Whether the rule on this line allows.
    fn allows(&self, line: usize) -> Option<bool> {
        self.rules.lines.get(line).map(|line| line.allow)
    }
}
