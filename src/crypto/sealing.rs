//! Seals values of the audit log under one key per subject and data category. Room: crypto.
//!
//! Each key is random and stored in its own table, wrapped by the master key: once it is destroyed its values can
//! never be read again, while every entry stays in place. A key that cannot be opened here gets a successor of the
//! next generation, so a lost master key affects only what was sealed before.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use chrono::{DateTime, Utc};
use entity::subject_key::{self, ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::{
    base::{
        error::{Error, is_out_of_use},
        secret::SecretKey,
    },
    crypto::master_keys::MasterKeys,
    registry::DataCategory,
};

const KEY_CONTEXT: &str = "subject-keys";

/// Seals `plain`, bound to `context` (XChaCha20-Poly1305): base64 of a random 24-byte nonce followed by the
/// ciphertext.
///
/// # Errors
/// `INTERNAL` if the cipher fails.
pub fn seal(key: &SecretKey, context: &[u8], plain: &[u8]) -> Result<String, Error> {
    let nonce: [u8; 24] = rand::random();
    let sealed = XChaCha20Poly1305::new(key.expose_secret().into())
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context })
        .map_err(|_| Error::internal("sealing"))?;
    Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] produced under the same key and context.
pub fn open(key: &SecretKey, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(24)?;
    XChaCha20Poly1305::new(key.expose_secret().into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context })
        .ok()
}

fn context(id: Uuid, category: &str) -> Vec<u8> {
    [id.as_bytes().as_slice(), category.as_bytes()].concat()
}

/// A key and its generation number.
#[derive(Clone)]
struct Generation {
    key: SecretKey,
    number: i32,
}

/// Seals the values of one transaction.
pub struct Sealer {
    keys: MasterKeys,
    loaded: HashMap<(Uuid, String), Generation>,
    fresh: Vec<ActiveModel>,
    /// The key that wraps new keys; the database rejects them if another master key is in use by then.
    wrapping: Option<Wrapping>,
    /// Subjects created in this transaction, which have no keys yet.
    new: HashSet<Uuid>,
    /// Keys that are known not to exist.
    absent: HashSet<(Uuid, &'static str)>,
}

impl Sealer {
    /// A sealer without any keys.
    pub fn new(keys: &MasterKeys) -> Self {
        let (loaded, fresh, wrapping) = (HashMap::new(), Vec::new(), None);
        Self { keys: keys.clone(), loaded, fresh, wrapping, new: HashSet::new(), absent: HashSet::new() }
    }

    /// Notes that `subject` is created in this transaction.
    pub fn add_new_subject(&mut self, subject: Uuid) {
        self.new.insert(subject);
    }

    /// Adds a key that was already read, if it can be opened; otherwise it is looked up again when needed.
    ///
    /// # Errors
    /// `INTERNAL` if the derivation fails.
    pub fn add_known(&mut self, row: &subject_key::Model) -> Result<(), Error> {
        if let Entry::Vacant(vacant) = self.loaded.entry((row.subject_id, row.category.clone()))
            && let Some(key) = unwrap(&self.keys, row)?
        {
            vacant.insert(Generation { key, number: row.generation });
        }
        Ok(())
    }

    /// Notes that `subject` has no key for a category.
    pub fn note_missing(&mut self, subject: Uuid, category: DataCategory) {
        self.absent.insert((subject, category.as_str()));
    }

    /// Seals the parts of the entry `id` about `subject`, one per data category, as a JSON object.
    ///
    /// # Errors
    /// `INTERNAL` if a key cannot be read or opened.
    pub async fn seal<C: ConnectionTrait>(
        &mut self,
        connection: &C,
        now: DateTime<Utc>,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        let missing = self.missing(subject, parts);
        if !missing.is_empty() {
            self.load(connection, now, subject, &missing).await?;
        }
        self.sealed(id, subject, parts)
    }

    /// Like [`Sealer::seal`] without a database query; `None` if the database may hold a key of `subject`.
    ///
    /// # Errors
    /// `INTERNAL` if the master key in use is not known here.
    pub fn seal_known(
        &mut self,
        now: DateTime<Utc>,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<Option<String>, Error> {
        let missing = self.missing(subject, parts);
        if missing.iter().any(|category| self.may_have(subject, category)) {
            return Ok(None);
        }
        self.make(now, subject, &missing, &HashMap::new())?;
        self.sealed(id, subject, parts).map(Some)
    }

    /// Moves everything out and starts empty.
    pub fn take_all(&mut self) -> Self {
        let empty = Self::new(&self.keys);
        std::mem::replace(self, empty)
    }

    /// Categories whose key of `subject` is not known yet.
    fn missing(&self, subject: Uuid, parts: &BTreeMap<&'static str, Vec<u8>>) -> Vec<&'static str> {
        let unknown = |part: &&'static str| !self.loaded.contains_key(&(subject, (*part).to_owned()));
        parts.keys().copied().filter(unknown).collect()
    }

    /// Whether the database may hold a key that is not known here.
    fn may_have(&self, subject: Uuid, category: &'static str) -> bool {
        !self.new.contains(&subject) && !self.absent.contains(&(subject, category))
    }

    fn sealed(
        &self,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        let mut sealed = BTreeMap::new();
        for (category, plain) in parts {
            let key = self.loaded.get(&(subject, (*category).to_owned()));
            let key = key.ok_or_else(|| Error::internal("a subject key is missing"))?;
            let text = seal(&key.key, &context(id, category), plain)?;
            sealed.insert(category, key.prefix(text));
        }
        serde_json::to_string(&sealed)
            .map_err(|_| Error::internal("the sealed values of an entry cannot be serialised"))
    }

    async fn load<C: ConnectionTrait>(
        &mut self,
        connection: &C,
        now: DateTime<Utc>,
        subject: Uuid,
        categories: &[&'static str],
    ) -> Result<(), Error> {
        let queried = categories.iter().copied().filter(|category| self.may_have(subject, category));
        let queried: Vec<&str> = queried.collect();
        let of_subject = Entity::find()
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::Category.is_in(queried.iter().copied()))
            .order_by_asc(Column::Generation);
        let stored = match queried.is_empty() {
            true => Vec::new(),
            false => of_subject.all(connection).await?,
        };
        let mut next: HashMap<String, i32> = HashMap::new();
        for row in stored {
            next.insert(row.category.clone(), row.generation + 1);
            // The latest key that can be opened is used.
            if let Some(key) = unwrap(&self.keys, &row)? {
                self.loaded.insert((subject, row.category), Generation { key, number: row.generation });
            }
        }
        self.make(now, subject, categories, &next)
    }

    /// Creates the missing keys of `categories`, in the generation given by `next`.
    fn make(
        &mut self,
        now: DateTime<Utc>,
        subject: Uuid,
        categories: &[&'static str],
        next: &HashMap<String, i32>,
    ) -> Result<(), Error> {
        for category in categories {
            let slot = (subject, (*category).to_owned());
            if let Entry::Vacant(vacant) = self.loaded.entry(slot) {
                let number = next.get(*category).copied().unwrap_or_default();
                let fresh = Generation { key: SecretKey::random(), number };
                let wrapping = match &mut self.wrapping {
                    Some(wrapping) => wrapping,
                    none => none.insert(Wrapping::current(&self.keys)?),
                };
                self.fresh.push(wrapping.wrap(subject, category, &fresh, now)?);
                vacant.insert(fresh);
            }
        }
        Ok(())
    }

    /// Writes the new keys.
    ///
    /// # Errors
    /// From the database; transient if another writer created one of the keys concurrently or another master key is
    /// now in use: a retry finds it.
    pub async fn store<C: ConnectionTrait>(&mut self, connection: &C) -> Result<(), Error> {
        for chunk in std::mem::take(&mut self.fresh).chunks(1_000) {
            insert(connection, &self.keys, chunk).await?;
        }
        Ok(())
    }
}

/// Writes newly wrapped keys.
///
/// # Errors
/// Those of [`Sealer::store`].
pub async fn insert<C: ConnectionTrait>(
    connection: &C,
    keys: &MasterKeys,
    rows: &[ActiveModel],
) -> Result<(), Error> {
    let inserted = Entity::insert_many(rows.iter().cloned()).exec_without_returning(connection).await;
    inserted.map(|_| ()).map_err(|error| map_insert_error(keys, error))
}

/// Converts the error for a key wrapped by a master key that is not in use.
pub fn map_insert_error(keys: &MasterKeys, error: DbErr) -> Error {
    if is_out_of_use(&error) {
        keys.mark_in_doubt();
        return Error::retry();
    }
    error.into()
}

impl Generation {
    /// Prefixes a sealed text with its generation; the first generation has no prefix.
    fn prefix(&self, sealed: String) -> String {
        if self.number == 0 { sealed } else { format!("{}:{sealed}", self.number) }
    }
}

/// Splits a sealed text into its generation and the ciphertext.
fn split_generation(text: &str) -> Option<(i32, &str)> {
    match text.split_once(':') {
        Some((number, sealed)) => Some((number.parse().ok()?, sealed)),
        None => Some((0, text)),
    }
}

/// The first key of `subject`, wrapped by the master key in use.
///
/// # Errors
/// `INTERNAL` if the master key in use is not known here.
pub fn wrap_first(
    keys: &MasterKeys,
    subject: Uuid,
    category: &str,
    key: SecretKey,
    now: DateTime<Utc>,
) -> Result<ActiveModel, Error> {
    Wrapping::current(keys)?.wrap(subject, category, &Generation { key, number: 0 }, now)
}

/// The key that wraps subject keys, and the id of its master key.
struct Wrapping {
    key: SecretKey,
    name: String,
}

impl Wrapping {
    fn current(keys: &MasterKeys) -> Result<Self, Error> {
        let (key, name) = keys.wrapping(KEY_CONTEXT)?;
        Ok(Self { key, name })
    }

    fn wrap(
        &self,
        subject: Uuid,
        category: &str,
        key: &Generation,
        now: DateTime<Utc>,
    ) -> Result<ActiveModel, Error> {
        Ok(ActiveModel {
            subject_id: Set(subject),
            category: Set(category.to_owned()),
            generation: Set(key.number),
            wrapped: Set(seal(&self.key, &context(subject, category), key.key.expose_secret())?),
            wrapped_by: Set(self.name.clone()),
            created_at: Set(now),
        })
    }
}

/// Unwraps the key in `row`; `None` if its master key is unknown or the ciphertext is not authentic.
fn unwrap(keys: &MasterKeys, row: &subject_key::Model) -> Result<Option<SecretKey>, Error> {
    let Some(master) = keys.derive_under(&row.wrapped_by, KEY_CONTEXT)? else { return Ok(None) };
    let key = open(&master, &context(row.subject_id, &row.category), &row.wrapped);
    Ok(key.and_then(|bytes| SecretKey::from_slice(&bytes)))
}

/// The sealed values of an entry by data category.
fn parts(sealed: &str) -> BTreeMap<String, String> {
    serde_json::from_str(sealed).unwrap_or_default()
}

/// Opens values of audit entries for callers who may read them.
#[derive(Default)]
pub struct Opener(HashMap<(Uuid, String, i32), SecretKey>);

impl Opener {
    /// Fetches the existing keys of `subjects`.
    ///
    /// # Errors
    /// `INTERNAL` from the database or if a key cannot be derived.
    pub async fn load<C: ConnectionTrait>(
        connection: &C,
        keys: &MasterKeys,
        subjects: impl IntoIterator<Item = Uuid>,
    ) -> Result<Self, Error> {
        let mut loaded = HashMap::new();
        let rows = Entity::find().filter(Column::SubjectId.is_in(subjects)).all(connection).await?;
        for row in rows {
            if let Some(key) = unwrap(keys, &row)? {
                loaded.insert((row.subject_id, row.category, row.generation), key);
            }
        }
        Ok(Self(loaded))
    }

    /// The values in `sealed`, of the entry `id` about `subject`, by coordinate: before and after. Values whose key
    /// was destroyed are left out.
    pub fn open(&self, id: Uuid, subject: Uuid, sealed: &str) -> BTreeMap<String, [serde_json::Value; 2]> {
        let mut values = BTreeMap::new();
        for (category, sealed) in parts(sealed) {
            let plain = self.part(id, subject, &category, &sealed);
            let part: Option<BTreeMap<_, _>> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
            values.extend(part.unwrap_or_default());
        }
        values
    }

    /// Whether everything in `sealed`, of the entry `id` about `subject`, can be opened.
    pub fn can_open(&self, id: Uuid, subject: Uuid, sealed: &str) -> bool {
        parts(sealed).iter().all(|(category, sealed)| self.part(id, subject, category, sealed).is_some())
    }

    fn part(&self, id: Uuid, subject: Uuid, category: &str, sealed: &str) -> Option<Vec<u8>> {
        let (generation, sealed) = split_generation(sealed)?;
        let key = self.0.get(&(subject, category.to_owned(), generation))?;
        open(key, &context(id, category), sealed)
    }
}

/// Whether the key in `row` can be opened.
///
/// # Errors
/// `INTERNAL` if the derivation fails.
pub fn can_open(keys: &MasterKeys, row: &subject_key::Model) -> Result<bool, Error> {
    Ok(unwrap(keys, row)?.is_some())
}

/// Wraps the key in `row` again under the master key in use; `None` if it cannot be opened.
///
/// # Errors
/// `INTERNAL` if the master key in use is not known here.
pub fn rewrap(keys: &MasterKeys, row: &subject_key::Model) -> Result<Option<ActiveModel>, Error> {
    let Some(key) = unwrap(keys, row)? else { return Ok(None) };
    let key = Generation { key, number: row.generation };
    Wrapping::current(keys)?.wrap(row.subject_id, &row.category, &key, row.created_at).map(Some)
}

/// The key in `row`.
///
/// # Errors
/// `INTERNAL` if it cannot be opened.
pub fn unwrap_key(keys: &MasterKeys, row: &subject_key::Model) -> Result<SecretKey, Error> {
    unwrap(keys, row)?.ok_or_else(|| Error::internal("a key is wrapped by an unknown master key"))
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
