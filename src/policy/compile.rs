//! Makes planes of rules: the one user of Casbin, which decides every cell (floor 1).
//!
//! Raw `enforce` is linear in the lines of the policy, so each cell is put to a small enforcer that holds only the
//! lines that can match it. A test compares every cell with `enforce` over the whole policy.

use std::collections::{BTreeMap, HashMap};

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter};

use super::{
    load::Rules,
    objects::{Action, Objects},
    purposes::Declared,
    sources::MODEL,
    table::Planes,
};

const EFFECT: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";

/// The planes of every role under every purpose that is no group; a pair that no line can match has none.
pub(super) type Compiled = HashMap<(String, String), Planes>;

/// Puts every cell to Casbin.
pub(super) async fn compile(
    rules: &Rules,
    declared: &Declared,
    objects: &Objects,
) -> casbin::Result<Compiled> {
    let mut allow = Judge::new("some(where (p.eft == allow))", rules, objects).await?;
    let mut not_deny = Judge::new("!some(where (p.eft == deny))", rules, objects).await?;
    let mut compiled = Compiled::new();
    for role in &declared.roles {
        let roles = rules.roles.closure(&format!("role:{}", role.code));
        for purpose in declared.purposes.iter().filter(|purpose| !purpose.is_group) {
            let purposes = rules.purposes.closure(&format!("purpose:{}", purpose.code));
            let mut candidates: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
            for (index, line) in rules.lines.iter().enumerate() {
                if roles.contains(&line.role) && purposes.contains(&line.purpose) {
                    candidates.entry((&line.object, line.action.as_str())).or_default().push(index);
                }
            }
            if candidates.is_empty() {
                continue;
            }
            let mut planes = Planes::empty(objects.len());
            // Cells with the same candidates have the same answer: they differ in nothing that a line speaks about.
            let mut known: HashMap<Vec<usize>, (bool, bool)> = HashMap::new();
            for (index, object) in objects.iter().enumerate().filter(|(_, object)| !object.derived) {
                for action in Action::ALL.into_iter().filter(|action| object.kind.takes(*action)) {
                    let names = std::iter::once(&object.name).chain(&object.groups);
                    let mut lines: Vec<usize> = names
                        .filter_map(|name| candidates.get(&(name.as_str(), action.as_str())))
                        .flatten()
                        .copied()
                        .collect();
                    if lines.is_empty() {
                        continue;
                    }
                    lines.sort_unstable();
                    let (allowed, denied) = match known.get(&lines) {
                        Some(answer) => *answer,
                        None => {
                            let request = [
                                format!("role:{}", role.code),
                                format!("purpose:{}", purpose.code),
                                object.name.clone(),
                                action.as_str().to_owned(),
                            ];
                            let policy: Vec<Vec<String>> = lines
                                .iter()
                                .filter_map(|line| rules.lines.get(*line))
                                .map(super::load::Line::values)
                                .collect();
                            let answer = (allow.ask(&policy, &request)?, !not_deny.ask(&policy, &request)?);
                            known.insert(lines, answer);
                            answer
                        }
                    };
                    planes.set(index, action, allowed, denied);
                }
            }
            compiled.insert((role.code.clone(), purpose.code.clone()), planes);
        }
    }
    Ok(compiled)
}

/// An enforcer that knows all links and is lent the lines of one question.
struct Judge(Enforcer);

impl Judge {
    async fn new(effect: &str, rules: &Rules, objects: &Objects) -> casbin::Result<Self> {
        let model = DefaultModel::from_str(&MODEL.replace(EFFECT, effect)).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        for (kind, from, to) in links(rules, objects) {
            enforcer.get_mut_model().add_policy("g", kind, vec![from, to]);
        }
        enforcer.build_role_links()?;
        Ok(Self(enforcer))
    }

    fn ask(&mut self, lines: &[Vec<String>], request: &[String; 4]) -> casbin::Result<bool> {
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

/// Every link as Casbin takes it: kind, from, to.
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
