//! The plan as data: decisions, columns and children of a whole operation, fixed before anything is read.
//! Room: engine/plan.
//!
//! A new kind of root field needs data here, a maker in `planner/` and a runner in `executor/`.

pub(in crate::engine) mod condition;
pub(in crate::engine) mod cost;
pub(in crate::engine) mod selection;

use std::sync::Arc;

use async_graphql::Pos;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::{
    condition::Filter,
    selection::{Fetch, Page},
};
use crate::{
    base::error::Error,
    engine::{cell::Cell, document::input::Input},
    policy::PurposeDef,
    registry::Mutation,
};

/// A planned operation.
#[derive(Default)]
pub struct Plan {
    /// The root fields, in document order.
    pub roots: Vec<PlannedRoot>,
    /// One entry for each denied coordinate, in document order.
    pub denials: Vec<Denial>,
    /// Coordinates whose values are masked.
    pub masked: Vec<String>,
    /// Coordinates whose values are withheld where a consent is missing.
    pub withheld: Vec<String>,
    /// The number of fields read in full.
    pub allowed: u64,
    /// The root field, if there is exactly one.
    pub(in crate::engine) root_name: Option<&'static str>,
    /// Whether it makes preference links, which needs the installation keys.
    pub needs_installation_keys: bool,
    /// The maximum number of values it reads: fields times rows.
    pub values: u64,
    /// Whether its answer may hold personal data.
    pub reads_personal_data: bool,
    /// Whether it is the plan of a mutation.
    pub is_mutation: bool,
    /// Whether it depends only on the caller's decisions, not on the caller or the instant, and can be cached.
    pub cacheable: bool,
}

/// The key of a single row.
pub(in crate::engine) enum KeySource {
    /// A literal, or a variable that is part of the plan.
    Value(Cell),
    /// The value of this variable at run time.
    Variable(String),
}

/// A denied coordinate.
#[derive(Clone, Debug)]
pub struct Denial {
    /// The error, with its coordinate.
    pub error: Error,
    /// Every position in the document that selects it.
    pub positions: Vec<Pos>,
    /// The response key of the root field, if the whole root field is denied.
    pub root: Option<String>,
}

/// A root field.
pub struct PlannedRoot {
    /// Its response key.
    pub key: String,
    pub(in crate::engine) plan: RootPlan,
}

impl PlannedRoot {
    /// The planned mutation, if it is one.
    pub fn mutation(&self) -> Option<&PlannedMutation> {
        match &self.plan {
            RootPlan::Mutation(planned) => Some(planned),
            _ => None,
        }
    }

    /// Which part of the program answers it.
    pub fn answered_by(&self) -> AnsweredBy<'_> {
        match &self.plan {
            RootPlan::Mutation(planned) => AnsweredBy::Mutation(planned),
            RootPlan::ConsentState(planned) => AnsweredBy::ConsentState(planned),
            RootPlan::Receipt(planned) => AnsweredBy::Receipt(planned),
            _ => AnsweredBy::Engine,
        }
    }
}

/// Which part of the program answers a root field: the engine alone, or the domain with data of the engine.
#[derive(Debug)]
pub enum AnsweredBy<'p> {
    /// The domain writes, then the engine reads the payload.
    Mutation(&'p PlannedMutation),
    /// The status of a consent at an instant.
    ConsentState(&'p PlannedConsentState),
    /// A signed receipt.
    Receipt(&'p PlannedReceipt),
    /// Everything else.
    Engine,
}

pub(in crate::engine) enum RootPlan {
    /// Introspection, answered by async-graphql.
    Introspection,
    /// The name of the root type.
    Typename(&'static str),
    /// Denied; the denial says why.
    Null,
    One(Fetch, KeySource),
    List(Fetch),
    Page(Box<Page>),
    /// Values of the viewer and of access explanations.
    StaticFields(Vec<StaticField>),
    /// Answered by the domain.
    ConsentState(PlannedConsentState),
    /// Answered by the domain.
    Receipt(PlannedReceipt),
    /// A changed row, delivered to a subscriber if it matches the filter.
    Change(Fetch, Option<Filter>),
    Mutation(Box<PlannedMutation>),
}

/// A requested consent receipt.
#[derive(Debug)]
pub struct PlannedReceipt {
    pub(in crate::engine) consent: Option<Uuid>,
    /// Response keys as JSON, each with its colon.
    pub(in crate::engine) parts: Vec<(String, ReceiptPart)>,
}

/// A requested field of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptPart {
    /// The signed document.
    Document,
    /// The printable record in a language.
    Html(String),
    /// The type name.
    Typename,
}

/// The consent whose status is requested, and the instant.
#[derive(Debug)]
pub struct PlannedConsentState {
    pub(in crate::engine) contact: Option<Uuid>,
    pub(in crate::engine) purpose: String,
    pub(in crate::engine) channel: String,
    /// The requested instant; the current one if absent.
    pub at: Option<DateTime<Utc>>,
}

/// A field of an object that holds no personal data.
pub(in crate::engine) struct StaticField {
    /// The response key as JSON, with its colon.
    pub(in crate::engine) key: String,
    pub(in crate::engine) value: StaticValue,
}

pub(in crate::engine) enum StaticValue {
    /// JSON, written at planning time.
    Ready(String),
    /// The purposes with these codes, as a list or a single object.
    Purposes { fetch: Fetch, codes: Vec<String>, list: bool },
    /// Whether a contact is visible for a purpose.
    ContactVisible(Arc<PurposeDef>),
    /// Writes nothing; the whole object is null unless the caller can see the contact.
    OnlyIfVisible(uuid::Uuid),
    /// The name that administrators gave to the caller's token.
    TokenName(uuid::Uuid),
}

/// A planned mutation.
#[derive(Debug)]
pub struct PlannedMutation {
    /// The registry's declaration.
    pub mutation: &'static Mutation,
    /// The validated input.
    pub input: Input,
    pub(in crate::engine) fields: Vec<(String, PayloadPart)>,
}

impl PlannedMutation {
    /// The id of the object to change, if the input names one.
    pub fn target(&self) -> Option<Uuid> {
        self.mutation.input.targets().find_map(|name| self.input.id(name))
    }
}

#[derive(Debug)]
pub(in crate::engine) enum PayloadPart {
    Typename,
    One(Fetch),
    Many(Fetch),
    Secret,
    Null,
}

/// The result of a mutation.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct MutationResult {
    /// Ids of the objects in the payload; for a single object, the first.
    pub ids: Vec<Uuid>,
    /// A secret that is shown only once.
    pub secret: Option<String>,
}

impl MutationResult {
    /// The result of writing one object.
    pub fn for_id(id: Uuid) -> Self {
        Self { ids: vec![id], secret: None }
    }

    /// Several things were written, or none.
    pub fn for_ids(ids: Vec<Uuid>) -> Self {
        Self { ids, secret: None }
    }
}

impl std::fmt::Debug for MutationResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MutationResult").field("ids", &self.ids).finish_non_exhaustive()
    }
}
