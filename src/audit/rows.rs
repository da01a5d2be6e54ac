//! Rows written through the door: each write tells what it changed, field by field (floor 3).
//!
//! Each also notes of which contacts a consent may have begun or ended by it: contacts, consents and objections are written in no
//! other way.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait};

use super::{Changes, Transaction};
use crate::{error::Error, register::ObjectType};

impl Transaction {
    /// Inserts a row of `object` and gives what it brings.
    ///
    /// # Errors
    /// From the database.
    pub async fn insert<E>(&self, object: &'static ObjectType, row: &E::Model) -> Result<Changes, Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone,
        E::ActiveModel: Send,
    {
        let values = row.clone().into_active_model().reset_all();
        E::insert(values).exec_without_returning(self.connection()).await?;
        self.touched.by_new::<E>(row);
        Ok(Changes::between(object, None, Some(row)))
    }

    /// Inserts rows of one kind; what they bring is told one by one by [`Changes::between`].
    ///
    /// # Errors
    /// From the database.
    pub async fn insert_all<E>(&self, rows: impl Iterator<Item = E::Model>) -> Result<(), Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
        E::ActiveModel: Send,
    {
        let touching = rows.inspect(|row| self.touched.by_new::<E>(row));
        let values: Vec<_> = touching.map(|row| row.into_active_model().reset_all()).collect();
        E::insert_many(values).exec_without_returning(self.connection()).await?;
        Ok(())
    }

    /// Writes the state `after` over that of `before` of a row of `object` and gives what differs.
    ///
    /// # Errors
    /// From the database.
    pub async fn update<E>(
        &self,
        object: &'static ObjectType,
        before: &E::Model,
        after: &E::Model,
    ) -> Result<Changes, Error>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Clone + Sync,
        E::ActiveModel: Send,
    {
        E::update(after.clone().into_active_model().reset_all()).exec(self.connection()).await?;
        self.touched.by::<E>(before);
        self.touched.by::<E>(after);
        Ok(Changes::between(object, Some(before), Some(after)))
    }

    /// Deletes a row of `object` and gives what goes with it.
    ///
    /// # Errors
    /// From the database.
    pub async fn delete<E>(&self, object: &'static ObjectType, row: &E::Model) -> Result<Changes, Error>
    where
        E: EntityTrait,
        E::Model: ModelTrait<Entity = E> + IntoActiveModel<E::ActiveModel> + Clone,
        E::ActiveModel: Send,
    {
        E::delete(row.clone().into_active_model()).exec(self.connection()).await?;
        self.touched.by::<E>(row);
        Ok(Changes::between(object, Some(row), None))
    }
}
