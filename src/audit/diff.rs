//! The fields of a row that changed, as the registry declares them. Room: audit.

use std::collections::BTreeMap;

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use serde_json::Value as Json;

use crate::{
    base::error::Error,
    registry::{DataCategory, Field, FieldSource, ObjectType, Scalar},
};

/// A field before and after a change.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// E.g. `Contact.email`.
    pub coordinate: String,
    /// Its data category, which decides the sealing key.
    pub category: DataCategory,
    /// The value before.
    pub before: Json,
    /// The value after.
    pub after: Json,
}

/// The fields that changed. Debug shows only coordinates.
#[derive(Clone, Default)]
#[must_use = "what changed must be recorded"]
pub struct ChangeSet(Vec<FieldChange>);

impl ChangeSet {
    /// No change.
    pub fn none() -> Self {
        Self::default()
    }

    /// The declared fields, except keys, in which two states of a row of `object` differ; `None` stands for a
    /// missing row.
    pub fn diff<M: ModelTrait>(object: &'static ObjectType, before: Option<&M>, after: Option<&M>) -> Self {
        let value = |model: Option<&M>, field: &Field, column: &str| {
            let mut columns = <M::Entity as EntityTrait>::Column::iter();
            let column = columns.find(|candidate| candidate.as_str() == column);
            let value = column.zip(model).map_or(Json::Null, |(column, model)| json(model.get(column)));
            match (&field.source, &value) {
                // Lists are stored as JSON text.
                (
                    FieldSource::Column { scalar: Scalar::TextList | Scalar::EnumList(_), .. },
                    Json::String(list),
                ) => serde_json::from_str(list).unwrap_or(value),
                _ => value,
            }
        };
        // Keys never change, and the entry names its object anyway.
        let fields = object.fields.iter().filter(|field| field.category != DataCategory::Key);
        let columns = fields.filter_map(|field: &Field| Some((field, field.column()?)));
        let changes = columns.filter_map(|(field, column)| {
            let (before, after) = (value(before, field, column), value(after, field, column));
            (before != after).then(|| FieldChange {
                coordinate: format!("{}.{}", object.name, field.name),
                category: field.category,
                before,
                after,
            })
        });
        Self(changes.collect())
    }

    /// A single change that is not a field of a row.
    pub fn single(coordinate: &str, category: DataCategory, before: Json, after: Json) -> Self {
        Self(vec![FieldChange { coordinate: coordinate.to_owned(), category, before, after }])
    }

    /// These changes and `others`.
    pub fn merge(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The coordinates of the changed fields.
    pub fn coordinates(&self) -> Vec<&str> {
        self.0.iter().map(|change| change.coordinate.as_str()).collect()
    }

    /// The values by data category, as JSON: `{"Contact.email": [before, after]}`.
    pub(super) fn by_category(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
        let mut parts: BTreeMap<&'static str, BTreeMap<&str, [&Json; 2]>> = BTreeMap::new();
        for change in &self.0 {
            let part = parts.entry(change.category.as_str()).or_default();
            part.insert(&change.coordinate, [&change.before, &change.after]);
        }
        let json = |part| {
            serde_json::to_vec(&part)
                .map_err(|_| Error::internal("the values of an entry cannot be serialised"))
        };
        parts.into_iter().map(|(category, part)| Ok((category, json(part)?))).collect()
    }
}

impl std::fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.coordinates()).finish()
    }
}

/// A column's value as API responses show it.
fn json(value: Value) -> Json {
    match value {
        Value::Uuid(Some(id)) => Json::from(id.to_string()),
        Value::String(Some(text)) => Json::from(text.as_str()),
        Value::Int(Some(number)) => Json::from(number),
        Value::Bool(Some(yes)) => Json::from(yes),
        Value::ChronoDateTimeUtc(Some(at)) => {
            Json::from(at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        }
        Value::ChronoDate(Some(date)) => Json::from(date.to_string()),
        _ => Json::Null,
    }
}
