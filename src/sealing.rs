//! Values of the audit log, sealed under a key per subject and data category (floor 2).
//!
//! Each key is random and lies wrapped by the master key in a table of its own: once it is destroyed the values can never
//! be read again, while every entry stays as it is.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use chrono::{DateTime, Utc};
use entity::subject_key::{self, ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{context::Keys, error::Error, register::Category};

const USAGE: &str = "subject-keys";

type Key = [u8; 32];

/// Seals `plain`, bound to `context` (XChaCha20-Poly1305): a random 24-byte nonce in front, base64.
///
/// # Errors
/// `INTERNAL`, should the cipher refuse.
pub fn seal(key: &Key, context: &[u8], plain: &[u8]) -> Result<String, Error> {
    let nonce: [u8; 24] = rand::random();
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context })
        .map_err(|_| Error::internal("sealing"))?;
    Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] made under the same key and context.
pub fn open(key: &Key, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(24)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context })
        .ok()
}

fn context(id: Uuid, category: &str) -> Vec<u8> {
    [id.as_bytes().as_slice(), category.as_bytes()].concat()
}

/// Seals the values of one transaction.
pub struct Sealer {
    keys: Keys,
    known: HashMap<(Uuid, String), Key>,
    fresh: Vec<ActiveModel>,
    /// Subjects made in this transaction, which have no keys yet.
    new: HashSet<Uuid>,
    /// Keys of which it is known that there are none.
    absent: HashSet<(Uuid, &'static str)>,
}

impl Sealer {
    /// A sealer that knows no key yet.
    pub fn new(keys: &Keys) -> Self {
        let (known, fresh) = (HashMap::new(), Vec::new());
        Self { keys: keys.clone(), known, fresh, new: HashSet::new(), absent: HashSet::new() }
    }

    /// Notes that `subject` is made in this transaction.
    pub fn introduce(&mut self, subject: Uuid) {
        self.new.insert(subject);
    }

    /// Takes a key that was read already.
    ///
    /// # Errors
    /// `INTERNAL` when it cannot be opened.
    pub fn take(&mut self, row: &subject_key::Model) -> Result<(), Error> {
        if let Entry::Vacant(vacant) = self.known.entry((row.subject_id, row.category.clone())) {
            vacant.insert(unwrapped(&self.keys, row)?);
        }
        Ok(())
    }

    /// Notes that `subject` has no key for a category.
    pub fn lacks(&mut self, subject: Uuid, category: Category) {
        self.absent.insert((subject, category.as_str()));
    }

    /// The parts of the entry `id` about `subject`, by data category, each sealed: a JSON object.
    ///
    /// # Errors
    /// `INTERNAL` when a key cannot be read or opened.
    pub async fn seal<C: ConnectionTrait>(
        &mut self,
        connection: &C,
        now: DateTime<Utc>,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        let missing: Vec<&'static str> = parts
            .keys()
            .copied()
            .filter(|part| !self.known.contains_key(&(subject, (*part).to_owned())))
            .collect();
        if !missing.is_empty() {
            self.load(connection, now, subject, &missing).await?;
        }
        let mut sealed = BTreeMap::new();
        for (category, plain) in parts {
            let key = self.known.get(&(subject, (*category).to_owned()));
            let key = key.ok_or_else(|| Error::internal("a subject key is missing"))?;
            sealed.insert(category, seal(key, &context(id, category), plain)?);
        }
        serde_json::to_string(&sealed).map_err(|_| Error::internal("sealed values of an entry"))
    }

    async fn load<C: ConnectionTrait>(
        &mut self,
        connection: &C,
        now: DateTime<Utc>,
        subject: Uuid,
        categories: &[&'static str],
    ) -> Result<(), Error> {
        let asked = categories
            .iter()
            .copied()
            .filter(|category| !self.new.contains(&subject) && !self.absent.contains(&(subject, *category)));
        let asked: Vec<&str> = asked.collect();
        let of_subject = Entity::find()
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::Category.is_in(asked.iter().copied()));
        let stored = match asked.is_empty() {
            true => Vec::new(),
            false => of_subject.all(connection).await?,
        };
        for row in stored {
            let key = unwrapped(&self.keys, &row)?;
            self.known.insert((subject, row.category), key);
        }
        for category in categories {
            let place = (subject, (*category).to_owned());
            if let Entry::Vacant(vacant) = self.known.entry(place) {
                let key: Key = rand::random();
                self.fresh.push(wrapped(&self.keys, subject, category, &key, now)?);
                vacant.insert(key);
            }
        }
        Ok(())
    }

    /// Writes the keys that were made.
    ///
    /// # Errors
    /// From the database; transient where another writer made one of them in between: the same again finds it.
    pub async fn store<C: ConnectionTrait>(&mut self, connection: &C) -> Result<(), Error> {
        for chunk in std::mem::take(&mut self.fresh).chunks(1_000) {
            Entity::insert_many(chunk.iter().cloned()).exec_without_returning(connection).await?;
        }
        Ok(())
    }
}

/// A key of `subject`, wrapped by the present master key.
///
/// # Errors
/// Keys that cannot be derived.
pub fn wrapped(
    keys: &Keys,
    subject: Uuid,
    category: &str,
    key: &Key,
    now: DateTime<Utc>,
) -> Result<ActiveModel, Error> {
    Ok(ActiveModel {
        subject_id: Set(subject),
        category: Set(category.to_owned()),
        wrapped: Set(seal(&keys.derive(USAGE)?, &context(subject, category), key)?),
        wrapped_by: Set(keys.name()?),
        created_at: Set(now),
    })
}

/// The key in `row`; `None` when its master key is not known.
fn unwrap(keys: &Keys, row: &subject_key::Model) -> Result<Option<Key>, Error> {
    let Some(master) = keys.derive_under(&row.wrapped_by, USAGE)? else { return Ok(None) };
    let key = open(&master, &context(row.subject_id, &row.category), &row.wrapped);
    let key = key.and_then(|bytes| Key::try_from(bytes.as_slice()).ok());
    key.map(Some).ok_or_else(|| Error::internal("a subject key cannot be opened"))
}

/// Opens values of entries for those who may read them.
#[derive(Default)]
pub struct Opener(HashMap<(Uuid, String), Key>);

impl Opener {
    /// Fetches the keys of `subjects`, as far as they exist.
    ///
    /// # Errors
    /// `INTERNAL` from the database, or for a key that cannot be opened.
    pub async fn of<C: ConnectionTrait>(
        connection: &C,
        keys: &Keys,
        subjects: impl IntoIterator<Item = Uuid>,
    ) -> Result<Self, Error> {
        let mut known = HashMap::new();
        let rows = Entity::find().filter(Column::SubjectId.is_in(subjects)).all(connection).await?;
        for row in rows {
            if let Some(key) = unwrap(keys, &row)? {
                known.insert((row.subject_id, row.category), key);
            }
        }
        Ok(Self(known))
    }

    /// The values that `sealed`, of the entry `id` about `subject`, holds by coordinate: before and after. What cannot be
    /// opened, since its key was destroyed, is left out.
    pub fn open(&self, id: Uuid, subject: Uuid, sealed: &str) -> BTreeMap<String, [serde_json::Value; 2]> {
        let parts: BTreeMap<String, String> = serde_json::from_str(sealed).unwrap_or_default();
        let mut values = BTreeMap::new();
        for (category, sealed) in parts {
            let Some(key) = self.0.get(&(subject, category.clone())) else { continue };
            let plain = open(key, &context(id, &category), &sealed);
            let part: Option<BTreeMap<_, _>> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
            values.extend(part.unwrap_or_default());
        }
        values
    }
}

/// Wraps the key in `row` anew under the present master key.
///
/// # Errors
/// `INTERNAL` when it is wrapped by a master key that is not known.
pub fn rewrapped(keys: &Keys, row: subject_key::Model) -> Result<ActiveModel, Error> {
    let key = unwrapped(keys, &row)?;
    wrapped(keys, row.subject_id, &row.category, &key, row.created_at)
}

/// The key in `row`.
///
/// # Errors
/// `INTERNAL` when it is wrapped by a master key that is not known.
pub fn unwrapped(keys: &Keys, row: &subject_key::Model) -> Result<[u8; 32], Error> {
    unwrap(keys, row)?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::internal("a subject key is wrapped by an unknown master key")
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(***)")
    }
}
