//! The plan as data: decisions, columns and children of a whole operation, known before anything is read. Room: engine/plan.
//!
//! A new kind of root field is data here, a maker in `planner/` and a runner in `executor/`.

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
    /// The root fields, in the order of the document.
    pub roots: Vec<PlannedRoot>,
    /// One entry per denied coordinate, in the order of the document.
    pub denials: Vec<Denial>,
    /// Coordinates of which only masked values are read.
    pub masked: Vec<String>,
    /// Coordinates whose values a missing consent may keep back.
    pub withheld: Vec<String>,
    /// How many fields are read in full.
    pub allowed: u64,
    /// The root field it asks for, if it is one.
    pub(in crate::engine) root_name: Option<&'static str>,
    /// Whether links of persons are made, which needs the keys of the installation.
    pub needs_installation_keys: bool,
    /// Values that may be read at most: the fields of every row.
    pub values: u64,
    /// Whether it may tell anything of persons.
    pub reads_personal_data: bool,
    /// Whether it is that of a mutation.
    pub is_mutation: bool,
    /// Whether it holds nothing of the caller but its decisions, and of the moment nothing: it may serve again.
    pub cacheable: bool,
}

/// The key of the one row that is asked for.
pub(in crate::engine) enum KeySource {
    /// Known.
    Value(Cell),
    /// Whatever this variable says.
    Variable(String),
}

/// A denied coordinate.
#[derive(Clone, Debug)]
pub struct Denial {
    /// What is refused, with its coordinate.
    pub error: Error,
    /// Everywhere the document asks for it.
    pub positions: Vec<Pos>,
    /// The root field that is refused as a whole, if one is.
    pub root: Option<String>,
}

/// A root field.
pub struct PlannedRoot {
    /// Its response key.
    pub key: String,
    pub(in crate::engine) plan: RootPlan,
}

impl PlannedRoot {
    /// What it writes, if it is a mutation.
    pub fn mutation(&self) -> Option<&PlannedMutation> {
        match &self.plan {
            RootPlan::Mutation(planned) => Some(planned),
            _ => None,
        }
    }

    /// Who answers it.
    pub fn answered_by(&self) -> AnsweredBy<'_> {
        match &self.plan {
            RootPlan::Mutation(planned) => AnsweredBy::Mutation(planned),
            RootPlan::ConsentState(planned) => AnsweredBy::ConsentState(planned),
            RootPlan::Receipt(planned) => AnsweredBy::Receipt(planned),
            _ => AnsweredBy::Engine,
        }
    }
}

/// Who answers a root field: the engine alone, or the domain with what the engine planned.
#[derive(Debug)]
pub enum AnsweredBy<'p> {
    /// Written, then read.
    Mutation(&'p PlannedMutation),
    /// The status of a consent at an instant.
    ConsentState(&'p PlannedConsentState),
    /// A signed receipt.
    Receipt(&'p PlannedReceipt),
    /// All else.
    Engine,
}

pub(in crate::engine) enum RootPlan {
    /// Answered by async-graphql: introspection.
    Introspection,
    /// The name of the root type.
    Typename(&'static str),
    /// Refused; the denial says why.
    Null,
    One(Fetch, KeySource),
    List(Fetch),
    Page(Box<Page>),
    /// Values of the viewer and of explanations.
    StaticFields(Vec<StaticField>),
    /// Made of what stands in higher rooms.
    ConsentState(PlannedConsentState),
    /// Made of what stands in higher rooms.
    Receipt(PlannedReceipt),
    /// What is told of a row that changed, if it fits the filter.
    Change(Fetch, Option<Filter>),
    Mutation(Box<PlannedMutation>),
}

/// A receipt that is asked for.
#[derive(Debug)]
pub struct PlannedReceipt {
    pub(in crate::engine) consent: Option<Uuid>,
    /// Response keys as JSON, each with its colon.
    pub(in crate::engine) parts: Vec<(String, ReceiptPart)>,
}

/// What is asked of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptPart {
    /// The signed document.
    Document,
    /// The printable record in a language.
    Html(String),
    /// The name of the type.
    Typename,
}

/// The consent whose status is asked for, and the instant.
#[derive(Debug)]
pub struct PlannedConsentState {
    pub(in crate::engine) contact: Option<Uuid>,
    pub(in crate::engine) purpose: String,
    pub(in crate::engine) channel: String,
    /// The instant; now if absent.
    pub at: Option<DateTime<Utc>>,
}

/// One field of an object that holds no data of persons.
pub(in crate::engine) struct StaticField {
    /// The response key as JSON, with its colon.
    pub(in crate::engine) key: String,
    pub(in crate::engine) value: StaticValue,
}

pub(in crate::engine) enum StaticValue {
    /// JSON, known already.
    Ready(String),
    /// Purposes with these codes, as a list or the only one.
    Purposes { fetch: Fetch, codes: Vec<String>, list: bool },
    /// Whether a contact has a ground for a purpose.
    ContactVisible(Arc<PurposeDef>),
    /// The contact must be visible to the caller, else there is no answer; written as nothing.
    OnlyIfVisible(uuid::Uuid),
    /// What those who manage tokens call the caller's own.
    TokenName(uuid::Uuid),
}

/// A planned mutation.
#[derive(Debug)]
pub struct PlannedMutation {
    /// Which one.
    pub mutation: &'static Mutation,
    /// Its input, checked.
    pub input: Input,
    pub(in crate::engine) fields: Vec<(String, PayloadPart)>,
}

impl PlannedMutation {
    /// The id of what is to be changed, if the input names one.
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

/// What a write tells of itself.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct MutationResult {
    /// Ids of what the payload shows; where it shows one, the first.
    pub ids: Vec<Uuid>,
    /// A secret that is told once.
    pub secret: Option<String>,
}

impl MutationResult {
    /// One thing was written.
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
