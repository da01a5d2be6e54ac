//! What a policy holds in memory. Room: policy.

use std::mem::{size_of, size_of_val};

use super::{Policy, load::Line, objects::Object, table::DecisionBits};

impl Policy {
    /// Bytes that the rules, the objects and the decisions of every role and purpose take, without what the allocator adds: two
    /// bytes for each object in each pair of a role and a purpose, and the texts of the rules.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &[&String]| texts.iter().map(|text| text.capacity()).sum::<usize>();
        let line = |line: &Line| size_of_val(line) + texts(&[&line.role, &line.purpose, &line.object]);
        let object = |object: &Object| {
            // Its name stands in the index too.
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
