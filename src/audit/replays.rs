//! Safe retries: the outcome of a mutation is kept for a day under the client's Idempotency-Key (floor 3).
//!
//! What is kept is what was written and a secret that was told, sealed; no value of a person. A repeat reads the answer
//! anew, so that it never tells more than a read may by then.

use chrono::{DateTime, TimeDelta, Utc};
use entity::idempotency::{ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};

use super::Transaction;
use crate::{
    context::{App, Keys},
    error::{Code, Error},
    sealing::{open, seal},
};

/// How long outcomes are kept.
const KEPT: TimeDelta = TimeDelta::days(1);
const USAGE: &str = "idempotency";

/// The client's key and what it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    key_hash: String,
    body_hash: String,
}

impl Replay {
    /// A key with the purpose and body of its request. Only digests are kept: clients may write anything into a key.
    pub fn new(key: &str, purpose: &str, body: &[u8]) -> Self {
        Self { key_hash: digest(&[key.as_bytes()]), body_hash: digest(&[purpose.as_bytes(), body]) }
    }

    /// Where the outcome of a root field is kept. Response keys are the client's and of any length: a digest stands for them.
    fn place(&self, actor: &str, root: &str) -> (String, String, String) {
        (actor.to_owned(), self.key_hash.clone(), digest(&[root.as_bytes()]))
    }
}

/// SHA-256 of `parts`, each with its length before it, hexadecimal.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Transaction {
    /// What was done under this key for the root field `root`, if it was; else the key is taken for this transaction, and
    /// whoever comes with it meanwhile waits for its end.
    ///
    /// # Errors
    /// `CONFLICT` for the same key with another purpose or body.
    pub async fn claim(&self, app: &App, replay: &Replay, root: &str) -> Result<Option<Vec<u8>>, Error> {
        let old: DateTime<Utc> = self.now() - KEPT;
        Entity::delete_many().filter(Column::CreatedAt.lte(old)).exec(self.connection()).await?;
        let place = replay.place(&self.author().actor, root);
        if let Some(row) = Entity::find_by_id(place.clone()).one(self.connection()).await? {
            if row.body_hash != replay.body_hash {
                let message = "this Idempotency-Key was used for another request";
                return Err(Error::new(Code::Conflict, message));
            }
            return outcome(&app.keys, &place, &row.sealed).map(Some);
        }
        let row = ActiveModel {
            actor: Set(place.0),
            key_hash: Set(place.1),
            root: Set(place.2),
            body_hash: Set(replay.body_hash.clone()),
            sealed: Set(String::new()),
            created_at: Set(self.now()),
        };
        Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(None)
    }

    /// Keeps the outcome under the key that was claimed.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn keep(&self, app: &App, replay: &Replay, root: &str, outcome: &[u8]) -> Result<(), Error> {
        let place = replay.place(&self.author().actor, root);
        let sealed = seal(&app.keys.derive(USAGE)?, &context(&place), outcome)?;
        let row = ActiveModel {
            actor: Set(place.0),
            key_hash: Set(place.1),
            root: Set(place.2),
            sealed: Set(format!("{}:{sealed}", app.keys.name()?)),
            ..Default::default()
        };
        Entity::update(row).exec(self.connection()).await?;
        Ok(())
    }
}

fn context(place: &(String, String, String)) -> Vec<u8> {
    format!("{}\n{}\n{}", place.0, place.1, place.2).into_bytes()
}

fn outcome(keys: &Keys, place: &(String, String, String), sealed: &str) -> Result<Vec<u8>, Error> {
    let (name, sealed) = sealed.split_once(':').unwrap_or_default();
    let key = keys.derive_under(name, USAGE)?;
    let opened = key.and_then(|key| open(&key, &context(place), sealed));
    opened.ok_or_else(|| {
        Error::new(Code::Conflict, "the outcome of this Idempotency-Key cannot be read any more")
    })
}
