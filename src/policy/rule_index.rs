//! Every pair of a role and a purpose with the rules that can match it, cell by cell. Room: policy.
//!
//! Rules are looked up by the names they mention, so the work grows with the matches and not with rules times pairs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    declared::Declared,
    load::Rules,
    objects::{Action, Objects},
};

/// The rules that can match a cell, by object index and action; in file order.
pub(super) type Cells = BTreeMap<(usize, Action), Vec<usize>>;

/// A role or non-group purpose with all its ancestors.
struct Name<'p> {
    code: &'p str,
    closure: BTreeSet<String>,
}

/// Looks up rules.
pub(super) struct RuleIndex<'p> {
    rules: &'p Rules,
    objects: &'p Objects,
    roles: Vec<Name<'p>>,
    purposes: Vec<Name<'p>>,
    /// Rules by the role and purpose that they name.
    lines: HashMap<(&'p str, &'p str), Vec<usize>>,
    /// Objects by their own name and those of their groups; without derived ids, which no rule mentions.
    named: HashMap<&'p str, Vec<usize>>,
}

impl<'p> RuleIndex<'p> {
    pub(super) fn new(rules: &'p Rules, declared: &'p Declared, objects: &'p Objects) -> Self {
        let name = |code: &'p str, closure| Name { code, closure };
        let roles = declared.roles.iter();
        let purposes = declared.purposes.iter().filter(|purpose| !purpose.is_group);
        let mut lines: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, line) in rules.lines.iter().enumerate() {
            lines.entry((line.role.as_str(), line.purpose.as_str())).or_default().push(index);
        }
        let mut named: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, object) in objects.iter().enumerate().filter(|(_, object)| !object.derived) {
            for name in std::iter::once(&object.name).chain(&object.groups) {
                named.entry(name.as_str()).or_default().push(index);
            }
        }
        Self {
            roles: roles
                .map(|role| name(&role.code, rules.roles.closure(&format!("role:{}", role.code))))
                .collect(),
            purposes: purposes
                .map(|purpose| {
                    name(&purpose.code, rules.purposes.closure(&format!("purpose:{}", purpose.code)))
                })
                .collect(),
            rules,
            objects,
            lines,
            named,
        }
    }

    /// Calls `take` for every pair that some rule can match, with the codes of its role and purpose and its cells.
    pub(super) fn each<E>(
        &self,
        mut take: impl FnMut(&'p str, &'p str, &Cells) -> Result<(), E>,
    ) -> Result<(), E> {
        for role in &self.roles {
            for purpose in &self.purposes {
                let cells = self.cells(role, purpose);
                if !cells.is_empty() {
                    take(role.code, purpose.code, &cells)?;
                }
            }
        }
        Ok(())
    }

    fn cells(&self, role: &Name<'p>, purpose: &Name<'p>) -> Cells {
        let mut matching: Vec<usize> = Vec::new();
        for role in &role.closure {
            for purpose in &purpose.closure {
                let lines = self.lines.get(&(role.as_str(), purpose.as_str()));
                matching.extend(lines.into_iter().flatten());
            }
        }
        matching.sort_unstable();
        let mut cells = Cells::new();
        for index in matching {
            let Some(line) = self.rules.lines.get(index) else { continue };
            for object in self.named.get(line.object.as_str()).into_iter().flatten() {
                let takes = self.objects.at(*object).is_some_and(|object| object.kind.takes(line.action));
                if takes {
                    cells.entry((*object, line.action)).or_default().push(index);
                }
            }
        }
        cells
    }
}
