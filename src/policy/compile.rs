//! Compiles rules into decision bits: the only user of Casbin, which decides every cell. Room: policy.
//!
//! Raw `enforce` is linear in the number of rules, so each cell goes to a small enforcer that holds only the rules
//! that can match it, and cells that differ only in names are decided once. A test compares every cell with `enforce`
//! over the whole policy.

use std::collections::HashMap;

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter};

use super::{
    declared::Declared,
    load::{Rule, Rules},
    objects::Objects,
    sources::MODEL,
    table::DecisionBits,
};
use crate::policy::rule_index::RuleIndex;

const EFFECT: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";

/// The decision bits for every role and non-group purpose; a pair that no rule can match has none.
pub(super) type Compiled = HashMap<(String, String), DecisionBits>;

/// Decides every cell with Casbin.
pub(super) async fn compile(
    rules: &Rules,
    declared: &Declared,
    objects: &Objects,
) -> casbin::Result<Compiled> {
    let mut allow = CellEnforcer::new("some(where (p.eft == allow))", rules, objects).await?;
    let mut not_deny = CellEnforcer::new("!some(where (p.eft == deny))", rules, objects).await?;
    let mut compiled = Compiled::new();
    let mut decided: HashMap<CellKey<'_>, (bool, bool)> = HashMap::new();
    RuleIndex::new(rules, declared, objects).each::<casbin::Error>(|role, purpose, cells| {
        let mut planes = DecisionBits::empty(objects.len());
        let (of, under) = (format!("role:{role}"), format!("purpose:{purpose}"));
        for ((index, action), lines) in cells {
            let Some(object) = objects.at(*index) else { continue };
            let lines = || lines.iter().filter_map(|line| rules.lines.get(*line));
            let cell_key = CellKey::new(lines(), [&of, &under, &object.name], [role, purpose]);
            let (allowed, denied) = match decided.get(&cell_key) {
                Some(answer) => *answer,
                None => {
                    let request =
                        [of.clone(), under.clone(), object.name.clone(), action.as_str().to_owned()];
                    let policy: Vec<Vec<String>> = lines().map(Rule::values).collect();
                    let answer = (allow.decide(&policy, &request)?, !not_deny.decide(&policy, &request)?);
                    decided.insert(cell_key, answer);
                    answer
                }
            };
            planes.set(*index, *action, allowed, denied);
        }
        compiled.insert((role.to_owned(), purpose.to_owned()), planes);
        Ok(())
    })?;
    Ok(compiled)
}

/// Everything about a cell that Casbin's decision depends on, except names: cells with the same key have the same
/// decision, because Casbin's matcher compares names and follows links but knows no name itself.
#[derive(PartialEq, Eq, Hash)]
struct CellKey<'p> {
    /// Role and purpose, if some rule names a parent of theirs, so that their links matter.
    linked: [Option<&'p str>; 2],
    lines: Vec<RuleShape<'p>>,
}

/// A rule as seen from a cell: names equal to the cell's role, purpose and object are omitted, and the action is that
/// of the cell.
#[derive(PartialEq, Eq, Hash)]
struct RuleShape<'p> {
    names: [Option<&'p str>; 3],
    allow: bool,
}

impl<'p> CellKey<'p> {
    /// The key of the cell with these names, whose role and purpose have these codes.
    fn new(lines: impl Iterator<Item = &'p Rule>, cell_names: [&str; 3], codes: [&'p str; 2]) -> Self {
        let shapes = lines.map(|line| {
            let named = [line.role.as_str(), line.purpose.as_str(), line.object.as_str()];
            let mut names = [None; 3];
            for ((name, named), cell_names) in names.iter_mut().zip(named).zip(cell_names) {
                *name = (named != cell_names).then_some(named);
            }
            RuleShape { names, allow: line.allow }
        });
        let lines: Vec<RuleShape<'_>> = shapes.collect();
        let mut linked = [None; 2];
        for (index, (linked, code)) in linked.iter_mut().zip(codes).enumerate() {
            let names_another = |line: &RuleShape<'_>| line.names.get(index).is_some_and(Option::is_some);
            *linked = lines.iter().any(names_another).then_some(code);
        }
        Self { linked, lines }
    }
}

/// An enforcer that holds all links and borrows the rules of one cell.
struct CellEnforcer(Enforcer);

impl CellEnforcer {
    async fn new(effect: &str, rules: &Rules, objects: &Objects) -> casbin::Result<Self> {
        let model = DefaultModel::from_str(&MODEL.replace(EFFECT, effect)).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        for (kind, from, to) in links(rules, objects) {
            enforcer.get_mut_model().add_policy("g", kind, vec![from, to]);
        }
        enforcer.build_role_links()?;
        Ok(Self(enforcer))
    }

    fn decide(&mut self, lines: &[Vec<String>], request: &[String; 4]) -> casbin::Result<bool> {
        let model = self.0.get_mut_model().get_mut_model();
        if let Some(rules) = model.get_mut("p").and_then(|kinds| kinds.get_mut("p")) {
            let rules = rules.get_mut_policy();
            rules.clear();
            rules.extend(lines.iter().cloned());
        }
        let [role, purpose, object, action] = request;
        self.0.enforce((role.as_str(), purpose.as_str(), object.as_str(), action.as_str()))
    }
}

/// Every link as Casbin expects it: kind, from, to.
pub(super) fn links(rules: &Rules, objects: &Objects) -> Vec<(&'static str, String, String)> {
    let mut links = Vec::new();
    for (kind, of) in [("g", &rules.roles), ("g2", &rules.purposes)] {
        links.extend(of.iter().map(|(from, to)| (kind, from.to_owned(), to.to_owned())));
    }
    for object in objects.iter() {
        links.extend(object.groups.iter().map(|group| ("g3", object.name.clone(), group.clone())));
    }
    links
}
