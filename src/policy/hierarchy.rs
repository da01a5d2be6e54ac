//! Inheritance among roles, purposes and objects, without cycles and without chains that Casbin cuts off.
//! Room: policy.

use std::collections::{BTreeMap, BTreeSet};

/// Longest chain that casbin-rs follows; longer chains silently do not match, which would lose an inherited deny.
const MAX_CHAIN_LINKS: usize = 9;

/// Links of one kind, each from a name to its parents.
#[derive(Clone, Debug, Default)]
pub(super) struct Links(BTreeMap<String, Vec<String>>);

/// Why a link is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkError {
    Known,
    Cycle,
    TooLong,
}

impl Links {
    /// Adds a link.
    pub(super) fn add(&mut self, from: &str, to: &str) -> Result<(), LinkError> {
        if self.0.get(from).is_some_and(|parents| parents.iter().any(|parent| parent == to)) {
            return Err(LinkError::Known);
        }
        if self.closure(to).contains(from) {
            return Err(LinkError::Cycle);
        }
        if self.below(from) + 1 + self.above(to) > MAX_CHAIN_LINKS {
            return Err(LinkError::TooLong);
        }
        self.0.entry(from.to_owned()).or_default().push(to.to_owned());
        Ok(())
    }

    /// `name` and all its ancestors.
    pub(super) fn closure(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([name.to_owned()]);
        let mut open = vec![name.to_owned()];
        while let Some(next) = open.pop() {
            for to in self.0.get(&next).into_iter().flatten() {
                if found.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        found
    }

    /// Length of the longest chain upwards. There are no cycles and no chains longer than [`MAX_CHAIN_LINKS`].
    fn above(&self, name: &str) -> usize {
        self.0.get(name).into_iter().flatten().map(|to| 1 + self.above(to)).max().unwrap_or(0)
    }

    fn below(&self, name: &str) -> usize {
        let below = self.0.iter().filter(|(_, to)| to.iter().any(|to| to == name));
        below.map(|(from, _)| 1 + self.below(from)).max().unwrap_or(0)
    }

    /// Every link.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())))
    }
}
