//! The memory use of a policy. Room: policy.

use std::mem::{size_of, size_of_val};

use super::{Policy, load::Rule, objects::Object, table::DecisionBits};

impl Policy {
    /// Bytes taken by the rules, the objects and the decisions of every role and purpose, without allocator overhead:
    /// two bytes per object and pair of role and purpose, plus the rule texts.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &[&String]| texts.iter().map(|text| text.capacity()).sum::<usize>();
        let line = |line: &Rule| size_of_val(line) + texts(&[&line.role, &line.purpose, &line.object]);
        let object = |object: &Object| {
            // The index holds its name as well.
            let groups = object.groups.iter().map(|group| size_of_val(group) + group.capacity());
            size_of_val(object) + 2 * texts(&[&object.name]) + groups.sum::<usize>()
        };
        let planes =
            |planes: &DecisionBits| size_of::<DecisionBits>() + planes.allow.len() + planes.deny.len();
        let pairs = self.planes.iter();
        self.rules.lines.iter().map(line).sum::<usize>()
            + self.objects.iter().map(object).sum::<usize>()
            + pairs.map(|((role, purpose), of)| texts(&[role, purpose]) + planes(of)).sum::<usize>()
    }
}
