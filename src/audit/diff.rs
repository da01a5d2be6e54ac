//! What changed in a row, field by field as the registry declares them. Room: audit.

use std::collections::BTreeMap;

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use serde_json::Value as Json;

use crate::{
    base::error::Error,
    registry::{DataCategory, Field, FieldSource, ObjectType, Scalar},
};

/// One field before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// E.g. `Contact.email`.
    pub coordinate: String,
    /// Its data category, by which its values are sealed.
    pub category: DataCategory,
    /// The value before.
    pub before: Json,
    /// The value after.
    pub after: Json,
}

/// Fields that changed. Debug shows coordinates alone.
#[derive(Clone, Default)]
#[must_use = "what changed must be recorded"]
pub struct ChangeSet(Vec<FieldChange>);

impl ChangeSet {
    /// Nothing changed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every declared field, keys aside, in which two states of a row of `object` differ; `None` where there is no such state.
    pub fn diff<M: ModelTrait>(object: &'static ObjectType, before: Option<&M>, after: Option<&M>) -> Self {
        let value = |model: Option<&M>, field: &Field, column: &str| {
            let mut columns = <M::Entity as EntityTrait>::Column::iter();
            let column = columns.find(|candidate| candidate.as_str() == column);
            let value = column.zip(model).map_or(Json::Null, |(column, model)| json(model.get(column)));
            match (&field.source, &value) {
                // Lists are kept as JSON text.
                (
                    FieldSource::Column { scalar: Scalar::TextList | Scalar::EnumList(_), .. },
                    Json::String(list),
                ) => serde_json::from_str(list).unwrap_or(value),
                _ => value,
            }
        };
        // Keys never change, and the entry names what it is about.
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

    /// A change that is no field of a row.
    pub fn single(coordinate: &str, category: DataCategory, before: Json, after: Json) -> Self {
        Self(vec![FieldChange { coordinate: coordinate.to_owned(), category, before, after }])
    }

    /// These and `others`.
    pub fn merge(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The coordinates of what changed.
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
        let json = |part| serde_json::to_vec(&part).map_err(|_| Error::internal("values of an entry"));
        parts.into_iter().map(|(category, part)| Ok((category, json(part)?))).collect()
    }
}

impl std::fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.coordinates()).finish()
    }
}

/// A column's value as the answers of the API write it.
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
