//! Cache of parsed and validated documents, and which of their variables have been validated. Room: graphql.
//!
//! A document is the same for every caller: the cache holds its content, never what a caller may do or has read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    Positioned,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
        SelectionSet,
    },
};
use async_graphql_value::Value;
use serde_json::{Map, Value as Json};

use crate::graphql::input_types::InputTypes;
use crate::{
    base::cache::Cache,
    registry::{RootKind, Scalar, root_field},
};

/// Most bytes of all documents that are kept; what they are parsed into takes some forty times as much.
const MAX_CACHED_BYTES: usize = 256 * 1024;
/// What a document weighs beside its bytes.
const OVERHEAD_BYTES: usize = 256;
/// Most bytes of the id of something that is asked for by a variable.
const MAX_ID_BYTES: usize = 64;
/// Most choices of an operation and of variables that a document is known to be valid with.
const MAX_VARIANTS: usize = 16;

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// The operation and variables with which it has been validated.
    valid: Mutex<Vec<Arc<OperationVariant>>>,
}

/// One operation of a document, with some of its variables provided.
#[derive(Debug)]
pub(super) struct OperationVariant {
    name: Option<String>,
    /// Names of the provided variables that the operation declares, in the order of their declaration.
    provided: Vec<String>,
    /// Those of them that are only used as the id of a row: a plan is valid for any value of them.
    pub(super) runtime_variables: Vec<String>,
}

/// Recently used documents, keyed by their text.
#[derive(Debug)]
pub(super) struct DocumentCache(Cache<Box<str>, Arc<Document>>);

impl DocumentCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_CACHED_BYTES))
    }

    pub(super) fn get(&self, text: &str) -> Option<Arc<Document>> {
        self.0.get(text)
    }

    /// Stores a validated document.
    pub(super) fn insert(&self, text: String, document: Arc<Document>) {
        let weight = text.len() + OVERHEAD_BYTES;
        self.0.insert(text.into_boxed_str(), document, weight);
    }
}

impl Document {
    pub(super) fn new(parsed: ExecutableDocument) -> Self {
        Self { parsed, valid: Mutex::default() }
    }

    /// The variant for `name` and `variables`, if the document has been validated with the same variables and the
    /// values match their declared types: then validation would find nothing.
    pub(super) fn validated_variant(
        &self,
        name: Option<&str>,
        variables: &Map<String, Json>,
        input_types: &InputTypes,
    ) -> Option<Arc<OperationVariant>> {
        let variant = {
            let valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
            valid.iter().find(|variant| variant.matches(name, variables, &self.parsed))?.clone()
        };
        let operation = get_operation(&self.parsed, name)?;
        let accepted = operation.variable_definitions.iter().all(|definition| {
            let value = variables.get(definition.node.name.node.as_str());
            value.is_none_or(|value| input_types.accepts(&definition.node.var_type.node, value))
        });
        let is_short = |name: &String| matches!(variables.get(name), Some(Json::String(text)) if text.len() <= MAX_ID_BYTES);
        (accepted && variant.runtime_variables.iter().all(is_short)).then_some(variant)
    }

    /// Records that the document is valid with `variables` for the operation `name`.
    pub(super) fn mark_valid(&self, name: Option<&str>, variables: &Map<String, Json>) {
        let Some(operation) = get_operation(&self.parsed, name) else { return };
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        if valid.len() >= MAX_VARIANTS
            || valid.iter().any(|variant| variant.matches(name, variables, &self.parsed))
        {
            return;
        }
        let provided: Vec<String> = provided(operation, variables).map(str::to_owned).collect();
        let runtime_variables = runtime_variables(&self.parsed, operation);
        let runtime_variables =
            provided.iter().filter(|name| runtime_variables.contains(&name.as_str())).cloned().collect();
        valid.push(Arc::new(OperationVariant { name: name.map(str::to_owned), provided, runtime_variables }));
    }
}

impl OperationVariant {
    /// Values of the provided variables that are not [runtime variables](OperationVariant::runtime_variables), as JSON,
    /// in the order of their declaration.
    pub(super) fn values(&self, variables: &Map<String, Json>) -> String {
        let mut values = String::new();
        for name in self.provided.iter().filter(|name| !self.runtime_variables.contains(name)) {
            if let Some(value) = variables.get(name) {
                values.push_str(&value.to_string());
                values.push(',');
            }
        }
        values
    }

    fn matches(
        &self,
        name: Option<&str>,
        variables: &Map<String, Json>,
        document: &ExecutableDocument,
    ) -> bool {
        self.name.as_deref() == name
            && get_operation(document, name)
                .is_some_and(|operation| provided(operation, variables).eq(&self.provided))
    }
}

/// The operation called `name`; without a name, the only one.
fn get_operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Option<&'d OperationDefinition> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Multiple(all), Some(name)) => {
            all.iter().find_map(|(defined, operation)| (defined == name).then_some(&operation.node))
        }
        (DocumentOperations::Multiple(all), None) if all.len() == 1 => {
            all.values().next().map(|operation| &operation.node)
        }
        _ => None,
    }
}

fn provided<'d>(
    operation: &'d OperationDefinition,
    variables: &Map<String, Json>,
) -> impl Iterator<Item = &'d str> {
    let names = operation.variable_definitions.iter().map(|definition| definition.node.name.node.as_str());
    names.filter(|name| variables.contains_key(*name))
}

/// Variables of a query that are used only as the id of a row selected by its id.
fn runtime_variables<'d>(
    document: &'d ExecutableDocument,
    operation: &'d OperationDefinition,
) -> Vec<&'d str> {
    if operation.ty != OperationType::Query {
        return Vec::new();
    }
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for item in &operation.selection_set.node.items {
        let Selection::Field(field) = &item.node else { continue };
        if let Some(name) = id_variable(&field.node) {
            *ids.entry(name).or_default() += 1;
        }
    }
    let mut used = HashMap::new();
    for (_, operation) in document.operations.iter() {
        count_variable_uses(&operation.node.selection_set.node, &mut used);
    }
    for fragment in document.fragments.values() {
        count_variable_uses(&fragment.node.selection_set.node, &mut used);
    }
    // A variable that decides whether a field is skipped is not an id: uses in directives count too.
    ids.into_iter().filter(|(name, times)| used.get(name) == Some(times)).map(|(name, _)| name).collect()
}

/// The variable that holds the id of the row of a root field.
fn id_variable(field: &Field) -> Option<&str> {
    let root = root_field(field.name.node.as_str())?;
    let RootKind::One(object) = root.kind else { return None };
    match &field.get_argument(object.key)?.node {
        Value::Variable(name) if matches!(object.key_scalar(), Scalar::Id) => Some(name.as_str()),
        _ => None,
    }
}

/// Counts the uses of each variable in `set`.
fn count_variable_uses<'d>(set: &'d SelectionSet, used: &mut HashMap<&'d str, usize>) {
    for item in &set.items {
        let (directives, inner) = match &item.node {
            Selection::Field(Positioned { node: field, .. }) => {
                field.arguments.iter().for_each(|(_, value)| count_in_value(&value.node, used));
                (&field.directives, Some(&field.selection_set.node))
            }
            Selection::InlineFragment(inline) => {
                (&inline.node.directives, Some(&inline.node.selection_set.node))
            }
            Selection::FragmentSpread(spread) => (&spread.node.directives, None),
        };
        for directive in directives {
            directive.node.arguments.iter().for_each(|(_, value)| count_in_value(&value.node, used));
        }
        if let Some(inner) = inner {
            count_variable_uses(inner, used);
        }
    }
}

fn count_in_value<'d>(value: &'d Value, used: &mut HashMap<&'d str, usize>) {
    match value {
        Value::Variable(name) => *used.entry(name.as_str()).or_default() += 1,
        Value::List(items) => items.iter().for_each(|item| count_in_value(item, used)),
        Value::Object(members) => members.values().for_each(|member| count_in_value(member, used)),
        _ => {}
    }
}
