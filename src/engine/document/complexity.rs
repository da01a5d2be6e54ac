//! Limits of a document before validation: depth, fields, aliases and the size of its values.
//! Room: engine/document.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value;
use serde_json::{Map, Value as Json};

use crate::base::{
    error::{Code, Error},
    limits::Limits,
};

/// Fragments of a document by name.
pub(in crate::engine) type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Maximum nesting of introspection lists: each level multiplies the answer.
const MAX_INTROSPECTION_LISTS: u64 = 2;

/// Extra depth allowed to introspection: types of types of types.
const INTROSPECTION_EXTRA_DEPTH: u64 = 10;

/// Maximum nesting of selection sets, fragments included.
const MAX_SELECTION_DEPTH: u64 = 64;

/// The size of a selection after its fragments are expanded.
#[derive(Clone, Copy, Default)]
struct Complexity {
    /// Fields and fragment spreads.
    fields: u64,
    /// Fields of the set itself, including those of its fragments.
    root_fields: u64,
    aliases: u64,
    /// Nested fields.
    depth: u64,
    /// Nested selection sets, including those of fragments.
    height: u64,
    directives: u64,
    /// Bytes of arguments, including the values of variables.
    arguments: u64,
    /// Nested lists of introspection.
    lists: u64,
}

/// Rejects documents that exceed `limits` after expansion, and errors that validation overlooks.
///
/// # Errors
/// `QUERY_TOO_COMPLEX`; `BAD_USER_INPUT` for a fragment that is unknown, unused or cyclic, an unknown directive,
/// and a `__typename` with arguments or selections.
pub(in crate::engine) fn check(
    document: &ExecutableDocument,
    variables: &Map<String, Json>,
    limits: &Limits,
) -> Result<(), Error> {
    let too_many = |things: &str, limit: u64| {
        Err(Error::new(Code::QueryTooComplex, format!("the document has more than {limit} {things}")))
    };
    if document.fragments.len() as u64 > limits.fragments {
        return too_many("fragments", limits.fragments);
    }
    // Every walk over the operations expands the fragments of each again.
    if document.operations.iter().count() as u64 > limits.fragments.max(1) {
        return too_many("operations", limits.fragments.max(1));
    }
    let mut visitor = ComplexityVisitor::new(document, variables);
    let mut sizes: Vec<Complexity> = Vec::new();
    for (_, operation) in document.operations.iter() {
        let mut size = visitor.visit_selection_set(&operation.node.selection_set.node, 0)?;
        visitor.visit_directives(&operation.node.directives, &mut size)?;
        sizes.push(size);
        if operation.node.variable_definitions.len() as u64 > limits.variables {
            return too_many("variables", limits.variables);
        }
    }
    if document.fragments.keys().any(|name| !visitor.used_fragments.contains(name.as_str())) {
        return Err(Error::bad_input("a fragment is not used"));
    }
    // All operations are validated, whichever is executed.
    let fields = sizes.iter().map(|size| size.fields).fold(0, u64::saturating_add);
    if fields > limits.fields {
        return too_many("fields", limits.fields);
    }
    for size in sizes {
        for (amount, limit, things) in [
            (size.root_fields, limits.root_fields, "root fields"),
            (size.aliases, limits.aliases, "aliases"),
            (size.depth, limits.depth, "nested selections"),
            (size.height, MAX_SELECTION_DEPTH, "nested selections"),
            (size.directives, limits.directives, "directives"),
            (size.arguments, limits.argument_bytes, "bytes of arguments"),
            (size.lists, MAX_INTROSPECTION_LISTS, "nested lists of introspection"),
        ] {
            if amount > limit {
                return too_many(things, limit);
            }
        }
    }
    Ok(())
}

struct ComplexityVisitor<'d> {
    fragments: &'d Fragments,
    /// Bytes of each variable.
    variables: HashMap<&'d str, u64>,
    /// Sizes of fragments; `None` while a fragment is being measured.
    fragment_sizes: HashMap<&'d str, Option<Complexity>>,
    used_fragments: HashSet<&'d str>,
    /// The number of visited selections, that is, the work done.
    #[cfg(test)]
    visited: usize,
}

impl<'d> ComplexityVisitor<'d> {
    fn new(document: &'d ExecutableDocument, variables: &'d Map<String, Json>) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.as_str(), json_size(value)));
        Self {
            fragments: &document.fragments,
            variables: variables.collect(),
            fragment_sizes: HashMap::new(),
            used_fragments: HashSet::new(),
            #[cfg(test)]
            visited: 0,
        }
    }

    fn visit_selection_set(&mut self, set: &'d SelectionSet, nesting: u64) -> Result<Complexity, Error> {
        #[cfg(test)]
        {
            self.visited += set.items.len();
        }
        if nesting > MAX_SELECTION_DEPTH {
            return Err(Error::new(Code::QueryTooComplex, "the document is nested too deeply"));
        }
        let mut total = Complexity::default();
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) => self.visit_field(&field.node, nesting)?,
                Selection::InlineFragment(inline) => {
                    let mut size = self.visit_selection_set(&inline.node.selection_set.node, nesting + 1)?;
                    self.visit_directives(&inline.node.directives, &mut size)?;
                    size
                }
                Selection::FragmentSpread(spread) => {
                    let mut size = self.visit_spread(spread.node.fragment_name.node.as_str(), nesting)?;
                    self.visit_directives(&spread.node.directives, &mut size)?;
                    size.fields = size.fields.saturating_add(1);
                    size
                }
            };
            total.fields = total.fields.saturating_add(inner.fields);
            total.root_fields = total.root_fields.saturating_add(inner.root_fields);
            total.aliases = total.aliases.saturating_add(inner.aliases);
            total.directives = total.directives.saturating_add(inner.directives);
            total.arguments = total.arguments.saturating_add(inner.arguments);
            total.depth = total.depth.max(inner.depth);
            total.height = total.height.max(inner.height);
            total.lists = total.lists.max(inner.lists);
        }
        total.height += 1;
        Ok(total)
    }

    fn visit_field(&mut self, field: &'d Field, nesting: u64) -> Result<Complexity, Error> {
        let name = field.name.node.as_str();
        let inner = &field.selection_set.node;
        // The validation of async-graphql does not check it.
        if name == "__typename" && !(field.arguments.is_empty() && inner.items.is_empty()) {
            return Err(Error::bad_input("`__typename` takes no arguments and has no fields"));
        }
        let mut size = self.visit_selection_set(inner, nesting + 1)?;
        self.visit_directives(&field.directives, &mut size)?;
        size.fields = size.fields.saturating_add(1);
        size.root_fields = 1;
        size.aliases = size.aliases.saturating_add(u64::from(field.alias.is_some()));
        size.depth += 1;
        if matches!(name, "__schema" | "__type") {
            size.depth = size.depth.saturating_sub(INTROSPECTION_EXTRA_DEPTH);
        }
        if matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes")
            && !inner.items.is_empty()
        {
            size.lists += 1;
        }
        for (_, value) in &field.arguments {
            size.arguments = size.arguments.saturating_add(self.argument_bytes(&value.node));
        }
        Ok(size)
    }

    fn visit_spread(&mut self, name: &'d str, nesting: u64) -> Result<Complexity, Error> {
        self.used_fragments.insert(name);
        match self.fragment_sizes.get(name) {
            Some(Some(size)) => Ok(*size),
            // The fragment is being measured: a cycle.
            Some(None) => Err(Error::bad_input("a fragment spreads itself")),
            None => {
                let fragment =
                    self.fragments.get(name).ok_or_else(|| Error::bad_input("a fragment is not defined"))?;
                self.fragment_sizes.insert(name, None);
                let mut size = self.visit_selection_set(&fragment.node.selection_set.node, nesting + 1)?;
                self.visit_directives(&fragment.node.directives, &mut size)?;
                self.fragment_sizes.insert(name, Some(size));
                Ok(size)
            }
        }
    }

    fn visit_directives(
        &self,
        directives: &[Positioned<Directive>],
        size: &mut Complexity,
    ) -> Result<(), Error> {
        let is_known = |directive: &Positioned<Directive>| {
            matches!(directive.node.name.node.as_str(), "skip" | "include")
        };
        if !directives.iter().all(is_known) {
            return Err(Error::bad_input("an unknown directive; known are @skip and @include"));
        }
        size.directives = size.directives.saturating_add(directives.len() as u64);
        Ok(())
    }

    fn argument_bytes(&self, value: &Value) -> u64 {
        match value {
            Value::Variable(name) => self.variables.get(name.as_str()).copied().unwrap_or(0),
            Value::String(text) => text.len() as u64,
            Value::List(items) => items.iter().map(|item| 16 + self.argument_bytes(item)).sum(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| 16 + name.len() as u64 + self.argument_bytes(value)).sum()
            }
            _ => 16,
        }
    }
}

fn json_size(value: &Json) -> u64 {
    match value {
        Json::String(text) => text.len() as u64,
        Json::Array(items) => items.iter().map(|item| 16 + json_size(item)).sum(),
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| 16 + name.len() as u64 + json_size(value)).sum()
        }
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    /// 908 bytes that take plain async-graphql 13.6 seconds with all its limits on.
    #[test]
    fn a_bomb_of_fragments_costs_as_much_as_it_is_long() {
        let mut bomb = String::from("{contacts{nodes{...F0}}}");
        for level in 0..22 {
            bomb.push_str(&format!("fragment F{level} on Contact{{...F{0} ...F{0}}}", level + 1));
        }
        bomb.push_str("fragment F22 on Contact{id}");
        bomb.push_str(&" ".repeat(908 - bomb.len()));
        let begun = std::time::Instant::now();
        let (variables, limits) = (Map::new(), Limits::default());
        crate::engine::check_source(&bomb, &limits).unwrap();
        let document = parse_query(&bomb).unwrap();
        assert_eq!(check(&document, &variables, &limits).unwrap_err().code, Code::QueryTooComplex);
        // For information only, never a reason to fail.
        println!("refused after {:?}", begun.elapsed());
        let mut visitor = ComplexityVisitor::new(&document, &variables);
        for (_, operation) in document.operations.iter() {
            let size = visitor.visit_selection_set(&operation.node.selection_set.node, 0).unwrap();
            assert!(size.fields > 4_000_000);
        }
        // Each selection of the document is visited once, although they expand to 4 million fields.
        assert_eq!(visitor.visited, 3 + 22 * 2 + 1);
    }
}
