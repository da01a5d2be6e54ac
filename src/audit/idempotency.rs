//! Safe retries: the outcome of a mutation is kept for a day under the client's Idempotency-Key. Room: audit.
//!
//! The first request that sends an `Idempotency-Key` takes it, with a keyed digest of its purpose and body. The ids of what it wrote,
//! and a secret that it issued, are kept under the key, sealed, in the same transaction. No value of a person is kept: a repeat
//! reads the answer anew, so that it never says more than a read may by then.

use chrono::{DateTime, TimeDelta, Utc};
use entity::idempotency::{ActiveModel, Column, Entity};
use hkdf::Hkdf;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use sha2::Sha256;

use super::Transaction;
use crate::{
    app::App,
    base::{
        error::{Code, Error},
        secret::SecretKey,
    },
    crypto::{
        installation_keys::InstallationKeys,
        master_keys::MasterKeys,
        sealing::{open, seal},
    },
};

/// How long outcomes are kept.
const RETENTION: TimeDelta = TimeDelta::days(1);
const KEY_CONTEXT: &str = "idempotency";

/// The client's key and what it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    key_hash: String,
    body_hash: String,
}

impl Idempotency {
    /// A key with the purpose and body of its request. Only keyed digests are kept, by a key that outlives a rotation of the master
    /// key: clients may write anything into a key, and bodies hold values of persons.
    ///
    /// # Errors
    /// Keys that cannot be derived.
    pub fn new(ring: &InstallationKeys, key: &str, purpose: &str, body: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            key_hash: digest(&ring.lookups, &[key.as_bytes()])?,
            body_hash: digest(&ring.lookups, &[purpose.as_bytes(), body])?,
        })
    }

    /// Where the outcome of a root field is kept. Response keys are the client's and of any length: a digest stands for them.
    fn outcome_key(&self, actor: &str, root: &str) -> Result<OutcomeKey, Error> {
        Ok((actor.to_owned(), self.key_hash.clone(), digest(&[0; 32].into(), &[root.as_bytes()])?))
    }

    /// Where the request as a whole is kept.
    fn request_key(&self, actor: &str) -> OutcomeKey {
        (actor.to_owned(), self.key_hash.clone(), String::new())
    }

    fn row(&self, key: OutcomeKey, now: DateTime<Utc>) -> ActiveModel {
        ActiveModel {
            actor: Set(key.0),
            key_hash: Set(key.1),
            root: Set(key.2),
            body_hash: Set(self.body_hash.clone()),
            sealed: Set(String::new()),
            created_at: Set(now),
        }
    }
}

type OutcomeKey = (String, String, String);

/// A digest of `parts`, each with its length before it, by HKDF-SHA-256 under `secret`; hexadecimal.
fn digest(secret: &SecretKey, parts: &[&[u8]]) -> Result<String, Error> {
    let mut input = Vec::new();
    for part in parts {
        input.extend((part.len() as u64).to_be_bytes());
        input.extend(*part);
    }
    let mut out = [0u8; 32];
    Hkdf::<Sha256>::new(Some(secret.expose_secret()), &input)
        .expand(b"digest", &mut out)
        .map_err(|_| Error::internal("a digest"))?;
    Ok(hex::encode(out))
}

impl Transaction {
    /// What was done under this key for the root field `root`, if it was; else the key is taken for this transaction, and
    /// whoever comes with it meanwhile waits for its end.
    ///
    /// # Errors
    /// `CONFLICT` for the same key with another purpose or body.
    pub async fn claim(
        &self,
        app: &App,
        idempotency: &Idempotency,
        root: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        delete_expired(self.connection(), self.now()).await?;
        let (request_key, key) = (
            idempotency.request_key(&self.author().actor),
            idempotency.outcome_key(&self.author().actor, root)?,
        );
        let request = Entity::find_by_id(request_key.clone()).one(self.connection()).await?;
        if request.as_ref().is_some_and(|row| row.body_hash != idempotency.body_hash) {
            return Err(Error::new(Code::Conflict, "this Idempotency-Key was used for another request"));
        }
        if let Some(row) = Entity::find_by_id(key.clone()).one(self.connection()).await? {
            return open_outcome(&app.keys, &key, &row.sealed).map(Some);
        }
        if request.is_none() {
            let row = idempotency.row(request_key, self.now());
            Entity::insert(row).exec_without_returning(self.connection()).await?;
        }
        Entity::insert(idempotency.row(key, self.now())).exec_without_returning(self.connection()).await?;
        Ok(None)
    }

    /// Keeps the outcome under the key that was claimed.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn store_outcome(
        &self,
        app: &App,
        idempotency: &Idempotency,
        root: &str,
        outcome: &[u8],
    ) -> Result<(), Error> {
        let key = idempotency.outcome_key(&self.author().actor, root)?;
        let sealed = seal(&app.keys.derive(KEY_CONTEXT)?, &associated_data(&key), outcome)?;
        let mut row = idempotency.row(key, self.now());
        row.sealed = Set(format!("{}:{sealed}", app.keys.key_id()?));
        Entity::update(row).exec(self.connection()).await?;
        Ok(())
    }
}

/// Deletes what was kept for a day.
async fn delete_expired<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<(), Error> {
    Entity::delete_many().filter(Column::CreatedAt.lte(now - RETENTION)).exec(connection).await?;
    Ok(())
}

/// Deletes outcomes that were kept for a day, also where no mutation comes by to do so. Nothing of a person changes by it, so
/// that no entry tells of it.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn delete_expired_outcomes(app: &App) -> Result<(), Error> {
    delete_expired(&app.db.writer, app.now()).await
}

fn associated_data(key: &OutcomeKey) -> Vec<u8> {
    format!("{}\n{}\n{}", key.0, key.1, key.2).into_bytes()
}

fn open_outcome(keys: &MasterKeys, key: &OutcomeKey, sealed: &str) -> Result<Vec<u8>, Error> {
    let (key_id, sealed) = sealed.split_once(':').unwrap_or_default();
    let sealing_key = keys.derive_under(key_id, KEY_CONTEXT)?;
    let opened = sealing_key.and_then(|sealing_key| open(&sealing_key, &associated_data(key), sealed));
    opened.ok_or_else(|| {
        Error::new(Code::Conflict, "the outcome of this Idempotency-Key cannot be read any more")
    })
}
