//! The operation of a document: selects it, collects its fields, evaluates directives (GraphQL, 6.3.2).
//! Room: engine/document.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Value,
    parser::types::{
        BaseType, Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
        InlineFragment, OperationDefinition, OperationType, Selection, SelectionSet, VariableDefinition,
    },
};
use async_graphql_value::Value as AstValue;

use super::{
    arguments::Variables,
    complexity::{self, Fragments},
};
use crate::base::{error::Error, limits::Limits, names::format_list};

/// An operation with its fragments and variables.
pub struct Operation<'d> {
    operation_type: OperationType,
    pub(in crate::engine) root: &'d SelectionSet,
    fragments: &'d Fragments,
    definitions: &'d [Positioned<VariableDefinition>],
    pub(in crate::engine) variables: Variables,
    /// Names of the variables that are not part of the plan but read when it runs.
    pub runtime_variables: &'d [String],
}

/// The merged fields of one response key.
pub(in crate::engine) struct CollectedField<'d> {
    pub(in crate::engine) key: &'d str,
    pub(in crate::engine) name: &'d str,
    pub(in crate::engine) nodes: Vec<&'d Positioned<Field>>,
}

impl<'d> Operation<'d> {
    /// Selects the operation of `document` (GraphQL, 6.1 GetOperation) and checks it against `limits`.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an unknown or missing name, `QUERY_TOO_COMPLEX`.
    pub fn from_document(
        document: &'d ExecutableDocument,
        name: Option<&str>,
        variables: serde_json::Map<String, serde_json::Value>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let operation: &OperationDefinition = match (&document.operations, name) {
            (DocumentOperations::Single(operation), None) => &operation.node,
            (DocumentOperations::Multiple(all), Some(name)) => all
                .iter()
                .find_map(|(candidate, operation)| (candidate == name).then_some(&operation.node))
                .ok_or_else(|| {
                    let mut names: Vec<&str> = all.keys().map(Name::as_str).collect();
                    names.sort_unstable();
                    let message =
                        format!("the document has no operation of this name; it has {}", format_list(&names));
                    Error::bad_input(message).with_input_path("operationName")
                })?,
            (DocumentOperations::Multiple(all), None) => match all.values().next() {
                Some(only) if all.len() == 1 => &only.node,
                _ => return Err(Error::bad_input("the document has several operations; name one")),
            },
            (DocumentOperations::Single(_), Some(_)) => {
                let message = "the document has no operation of this name; its only one has no name";
                return Err(Error::bad_input(message).with_input_path("operationName"));
            }
        };
        complexity::check(document, &variables, limits)?;
        Ok(Self {
            operation_type: operation.ty,
            root: &operation.selection_set.node,
            fragments: &document.fragments,
            definitions: &operation.variable_definitions,
            variables: Variables::new(&operation.variable_definitions, variables)?,
            runtime_variables: &[],
        })
    }

    /// Whether it is a mutation.
    pub fn is_mutation(&self) -> bool {
        self.operation_type == OperationType::Mutation
    }

    /// Whether it is a subscription.
    pub fn is_subscription(&self) -> bool {
        self.operation_type == OperationType::Subscription
    }

    /// The variable that gives the argument `name` of `field`, if it is read when the plan runs.
    pub(in crate::engine) fn runtime_variable(&self, field: &Field, name: &str) -> Option<&'d str> {
        let names: &'d [String] = self.runtime_variables;
        match &field.get_argument(name)?.node {
            AstValue::Variable(variable) => {
                names.iter().map(String::as_str).find(|name| *name == variable.as_str())
            }
            _ => None,
        }
    }

    /// The root type of the operation.
    pub(in crate::engine) fn root_type(&self) -> &'static str {
        match self.operation_type {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        }
    }

    /// Its introspection as a document of its own; `None` if it has none.
    ///
    /// # Errors
    /// As the plan.
    pub fn introspection(&self) -> Result<Option<ExecutableDocument>, Error> {
        let mut items = Vec::new();
        for selected in self.collect_fields(&[self.root], self.root_type())? {
            let [first, rest @ ..] = selected.nodes.as_slice() else { continue };
            if !matches!(selected.name, "__schema" | "__type") {
                continue;
            }
            // async-graphql does not merge equal response keys at the root.
            let mut field = (*first).clone();
            let more = rest.iter().flat_map(|node| node.node.selection_set.node.items.iter().cloned());
            field.node.selection_set.node.items.extend(more);
            items.push(Positioned::new(Selection::Field(field), first.pos));
        }
        let Some(pos) = items.first().map(|item| item.pos) else { return Ok(None) };
        // Introspection takes no other types, and a type that is hidden from the caller must not be named.
        let is_introspection_type = |definition: &&Positioned<VariableDefinition>| matches!(&definition.node.var_type.node.base, BaseType::Named(name) if matches!(name.as_str(), "String" | "Boolean"));
        let operation = OperationDefinition {
            ty: OperationType::Query,
            variable_definitions: self.definitions.iter().filter(is_introspection_type).cloned().collect(),
            directives: Vec::new(),
            selection_set: Positioned::new(SelectionSet { items }, pos),
        };
        let of_the_schema = |fragment: &Positioned<FragmentDefinition>| {
            fragment.node.type_condition.node.on.node.starts_with("__")
        };
        let fragments = self.fragments.iter().filter(|(_, fragment)| of_the_schema(fragment));
        Ok(Some(ExecutableDocument {
            operations: DocumentOperations::Single(Positioned::new(operation, pos)),
            fragments: fragments.map(|(name, fragment)| (name.clone(), fragment.clone())).collect(),
        }))
    }

    /// The fields of the selection `sets` on the type `on`: fragments expanded, @skip and @include applied, equal
    /// response keys merged in order of first appearance (GraphQL, CollectFields).
    pub(in crate::engine) fn collect_fields(
        &self,
        sets: &[&'d SelectionSet],
        on: &str,
    ) -> Result<Vec<CollectedField<'d>>, Error> {
        let mut collected: Vec<CollectedField<'d>> = Vec::new();
        let mut index = HashMap::new();
        for set in sets {
            self.collect_into(set, on, &mut collected, &mut index)?;
        }
        for selected in &collected {
            self.check_mergeable(selected)?;
        }
        Ok(collected)
    }

    fn collect_into(
        &self,
        set: &'d SelectionSet,
        on: &str,
        into: &mut Vec<CollectedField<'d>>,
        index: &mut HashMap<&'d str, usize>,
    ) -> Result<(), Error> {
        for selection in &set.items {
            let (directives, nested) = match &selection.node {
                Selection::Field(field) => (&field.node.directives, None),
                Selection::InlineFragment(inline) => {
                    let condition =
                        inline.node.type_condition.as_ref().map(|condition| &condition.node.on.node);
                    (&inline.node.directives, Some((condition, &inline.node.selection_set.node)))
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) else {
                        return Err(Error::bad_input("a fragment is not defined"));
                    };
                    let condition = Some(&fragment.node.type_condition.node.on.node);
                    (&spread.node.directives, Some((condition, &fragment.node.selection_set.node)))
                }
            };
            if !self.is_included(directives)? {
                continue;
            }
            match (nested, &selection.node) {
                (Some((condition, set)), _) => {
                    if condition.is_none_or(|condition| condition == on) {
                        self.collect_into(set, on, into, index)?;
                    }
                }
                (None, Selection::Field(field)) => {
                    let key = field.node.response_key().node.as_str();
                    let at = *index.entry(key).or_insert_with(|| {
                        into.push(CollectedField {
                            key,
                            name: field.node.name.node.as_str(),
                            nodes: Vec::new(),
                        });
                        into.len() - 1
                    });
                    if let Some(selected) = into.get_mut(at) {
                        selected.nodes.push(field);
                    }
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn is_included(&self, directives: &[Positioned<Directive>]) -> Result<bool, Error> {
        for directive in directives {
            let skip = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => continue,
            };
            let condition =
                directive.node.get_argument("if").and_then(|value| self.variables.resolve(&value.node));
            match condition {
                Some(Value::Boolean(condition)) if condition == skip => return Ok(false),
                Some(Value::Boolean(_)) => {}
                _ => return Err(Error::bad_input("@skip and @include need a Boolean `if`")),
            }
        }
        Ok(true)
    }

    /// Fields with one response key must have the same name and the same arguments (GraphQL, 5.3.2).
    fn check_mergeable(&self, selected: &CollectedField<'d>) -> Result<(), Error> {
        let [first, rest @ ..] = selected.nodes.as_slice() else { return Ok(()) };
        if rest.is_empty() {
            return Ok(());
        }
        let expected = self.variables.arguments(first);
        for node in rest {
            if node.node.name.node != selected.name || self.variables.arguments(node) != expected {
                let message = format!("the response key `{}` is used for different fields", selected.key);
                return Err(Error::bad_input(message));
            }
        }
        Ok(())
    }
}

/// The document with every field skipped: it can still be validated, but executes nothing.
pub fn skip_all_fields(mut document: ExecutableDocument) -> ExecutableDocument {
    let skip = |operation: &mut Positioned<OperationDefinition>| {
        let pos = operation.pos;
        let selection_set = std::mem::replace(
            &mut operation.node.selection_set,
            Positioned::new(SelectionSet::default(), pos),
        );
        let yes = Positioned::new(async_graphql_value::Value::Boolean(true), pos);
        let directive = Directive {
            name: Positioned::new(Name::new("skip"), pos),
            arguments: vec![(Positioned::new(Name::new("if"), pos), yes)],
        };
        let inline = InlineFragment {
            type_condition: None,
            directives: vec![Positioned::new(directive, pos)],
            selection_set,
        };
        let inline = Selection::InlineFragment(Positioned::new(inline, pos));
        operation.node.selection_set.node.items.push(Positioned::new(inline, pos));
    };
    match &mut document.operations {
        DocumentOperations::Single(operation) => skip(operation),
        DocumentOperations::Multiple(all) => all.values_mut().for_each(skip),
    }
    document
}

impl<'d> CollectedField<'d> {
    pub(in crate::engine) fn selection_sets(&self) -> Vec<&'d SelectionSet> {
        self.nodes.iter().map(|node| &node.node.selection_set.node).collect()
    }

    pub(in crate::engine) fn positions(&self) -> Vec<Pos> {
        self.nodes.iter().map(|node| node.pos).collect()
    }
}
