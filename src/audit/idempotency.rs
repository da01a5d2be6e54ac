//! Safe retries: the outcome of a mutation is stored for a day under the client's Idempotency-Key. Room: audit.
//!
//! The first request with an `Idempotency-Key` claims it, with a keyed digest of its purpose and body. The ids that
//! it wrote and a secret that it issued are stored sealed, in the same transaction. Personal data is not stored: a
//! repeat reads the answer again, so it never shows more than a read may show by then.

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

/// How long outcomes are stored.
const RETENTION: TimeDelta = TimeDelta::days(1);
const KEY_CONTEXT: &str = "idempotency";

/// The client's key and the request it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    key_hash: String,
    body_hash: String,
}

impl Idempotency {
    /// A key with the purpose and body of its request. Only keyed digests are stored, under a key that survives
    /// rotations of the master key: clients may put anything into a key, and bodies hold personal data.
    ///
    /// # Errors
    /// Keys that cannot be derived.
    pub fn new(
        installation_keys: &InstallationKeys,
        key: &str,
        purpose: &str,
        body: &[u8],
    ) -> Result<Self, Error> {
        Ok(Self {
            key_hash: digest(&installation_keys.lookups, &[key.as_bytes()])?,
            body_hash: digest(&installation_keys.lookups, &[purpose.as_bytes(), body])?,
        })
    }

    /// The key of a root field's outcome. Response keys are chosen by the client and unbounded, so a digest stands
    /// for them.
    fn outcome_key(&self, actor: &str, root: &str) -> Result<OutcomeKey, Error> {
        Ok((actor.to_owned(), self.key_hash.clone(), digest(&[0; 32].into(), &[root.as_bytes()])?))
    }

    /// The key of the whole request.
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

/// A digest of `parts`, each preceded by its length: HKDF-SHA-256 under `secret`, hexadecimal.
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
    /// The stored outcome of the root field `root` under this key, if there is one; otherwise claims the key for
    /// this transaction, and other requests with it wait for its end.
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

    /// Stores the outcome under the claimed key.
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

/// Deletes outcomes older than a day.
async fn delete_expired<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<(), Error> {
    Entity::delete_many().filter(Column::CreatedAt.lte(now - RETENTION)).exec(connection).await?;
    Ok(())
}

/// Deletes outcomes older than a day, for times when no mutation does so. It changes no personal data, so no entry
/// records it.
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
        Error::new(Code::Conflict, "the outcome stored under this Idempotency-Key can no longer be read")
    })
}
