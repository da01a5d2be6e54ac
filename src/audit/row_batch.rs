//! Writes rows and reports what changed, field by field. Room: audit.
//!
//! Each write also marks the contacts whose consents may have begun or ended: contacts, consents and objections are
//! written in no other way.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait,
    QueryTrait,
    sea_query::{CommonTableExpression, InsertStatement, UpdateStatement, WithClause},
};

use super::{ChangeSet, Transaction, affected_contacts::AffectedContacts};
use crate::{base::error::Error, registry::ObjectType};

/// Rows in one INSERT: SQLite accepts 32,766 values, and a row of the widest table, `contact`, has about 40.
const INSERT_BATCH: usize = 250;
/// Maximum number of values in writes combined into one statement on PostgreSQL: for few rows, round trips cost
/// most.
const MAX_COMBINED_VALUES: usize = 2_000;

/// Rows to write together, in this order; on PostgreSQL in one statement, to save round trips.
#[derive(Default)]
#[must_use = "nothing of it is written yet"]
pub struct RowBatch {
    writes: Vec<Write>,
    /// Upper bound of the values that the writes bind.
    values: usize,
    changes: ChangeSet,
    affected_contacts: AffectedContacts,
}

enum Write {
    Insert(InsertStatement),
    Update(UpdateStatement),
}

impl RowBatch {
    /// Adds a new row of `object`.
    pub fn insert<E>(mut self, object: &'static ObjectType, row: &E::Model) -> Self
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone,
    {
        let values = row.clone().into_active_model().reset_all();
        self.writes.push(Write::Insert(E::insert(values).into_query()));
        self.values += E::Column::iter().count();
        self.affected_contacts.add_new_row::<E>(row);
        self.changes = self.changes.merge(ChangeSet::diff(object, None, Some(row)));
        self
    }

    /// Adds new rows of one type, however many. The caller reports their changes with [`ChangeSet::diff`].
    pub fn insert_all<E>(mut self, rows: impl Iterator<Item = E::Model>) -> Self
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        let mut rows = rows.inspect(|row| self.affected_contacts.add_new_row::<E>(row)).peekable();
        while rows.peek().is_some() {
            let batch = rows.by_ref().take(INSERT_BATCH).map(|row| row.into_active_model().reset_all());
            let batch: Vec<_> = batch.collect();
            self.values += E::Column::iter().count() * batch.len();
            self.writes.push(Write::Insert(E::insert_many(batch).into_query()));
        }
        self
    }

    /// Adds an update of a row of `object` from `before` to `after`: only columns that differ are written.
    ///
    /// # Errors
    /// `INTERNAL` for a row without a key.
    pub fn update<E>(
        mut self,
        object: &'static ObjectType,
        before: &E::Model,
        after: &E::Model,
    ) -> Result<Self, Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone,
    {
        let mut values = after.clone().into_active_model();
        for column in E::Column::iter().filter(|column| before.get(*column) != after.get(*column)) {
            values.reset(column);
        }
        if values.is_changed() {
            self.writes.push(Write::Update(E::update(values).validate()?.into_query()));
            self.values += E::Column::iter().count();
        }
        self.affected_contacts.add_row::<E>(before);
        self.affected_contacts.add_row::<E>(after);
        self.changes = self.changes.merge(ChangeSet::diff(object, Some(before), Some(after)));
        Ok(self)
    }

    /// Takes the writes as one statement, if there are several with few values and all but the last insert rows:
    /// only for the last is it known whether it found its row.
    fn take_as_one_statement(&mut self) -> Option<Write> {
        let updates = self.writes.iter().filter(|write| matches!(write, Write::Update(_))).count();
        if self.writes.len() < 2 || updates > 1 || self.values > MAX_COMBINED_VALUES {
            return None;
        }
        // Within one statement the order does not matter.
        self.writes.sort_by_key(|write| matches!(write, Write::Update(_)));
        let last = self.writes.pop()?;
        let mut with = WithClause::new();
        for (index, write) in self.writes.drain(..).enumerate() {
            if let Write::Insert(insert) = write {
                let mut part = CommonTableExpression::new();
                with.cte(part.table_name(format!("written_{index}")).query(insert).to_owned());
            }
        }
        Some(match last {
            Write::Insert(mut insert) => Write::Insert(insert.with_cte(with).to_owned()),
            Write::Update(mut update) => Write::Update(update.with_cte(with).to_owned()),
        })
    }
}

impl Transaction {
    /// Writes `rows` and returns the changes.
    ///
    /// # Errors
    /// From the database.
    pub async fn write(&self, mut rows: RowBatch) -> Result<ChangeSet, Error> {
        let connection = self.connection();
        if connection.get_database_backend() == DbBackend::Postgres
            && let Some(combined) = rows.take_as_one_statement()
        {
            rows.writes = vec![combined];
        }
        for write in &rows.writes {
            match write {
                Write::Insert(insert) => _ = connection.execute(insert).await?,
                Write::Update(update) if connection.execute(update).await?.rows_affected() == 0 => {
                    return Err(DbErr::RecordNotUpdated.into());
                }
                Write::Update(_) => {}
            }
        }
        self.affected_contacts.add(rows.affected_contacts.take());
        Ok(rows.changes)
    }

    /// Inserts a row of `object` and returns the changes.
    ///
    /// # Errors
    /// From the database.
    pub async fn insert<E>(&self, object: &'static ObjectType, row: &E::Model) -> Result<ChangeSet, Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone,
    {
        self.write(RowBatch::default().insert::<E>(object, row)).await
    }

    /// Inserts rows of one type; the caller reports their changes with [`ChangeSet::diff`].
    ///
    /// # Errors
    /// From the database.
    pub async fn insert_all<E>(&self, rows: impl Iterator<Item = E::Model>) -> Result<(), Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
        E::ActiveModel: Send,
    {
        self.write(RowBatch::default().insert_all::<E>(rows)).await.map(|_| ())
    }

    /// Updates a row of `object` from `before` to `after`, and returns the changes.
    ///
    /// # Errors
    /// From the database.
    pub async fn update<E>(
        &self,
        object: &'static ObjectType,
        before: &E::Model,
        after: &E::Model,
    ) -> Result<ChangeSet, Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone,
    {
        self.write(RowBatch::default().update::<E>(object, before, after)?).await
    }

    /// Deletes a row of `object` and returns the changes.
    ///
    /// # Errors
    /// From the database.
    pub async fn delete<E>(&self, object: &'static ObjectType, row: &E::Model) -> Result<ChangeSet, Error>
    where
        E: EntityTrait,
        E::Model: ModelTrait<Entity = E> + IntoActiveModel<E::ActiveModel> + Clone,
        E::ActiveModel: Send,
    {
        E::delete(row.clone().into_active_model()).exec(self.connection()).await?;
        self.affected_contacts.add_row::<E>(row);
        Ok(ChangeSet::diff(object, Some(row), None))
    }
}
