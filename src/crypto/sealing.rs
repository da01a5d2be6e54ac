//! Values of the audit log, sealed under a key per subject and data category. Room: crypto.
//!
//! Each key is random and lies wrapped by the master key in a table of its own: once it is destroyed the values can never
//! be read again, while every entry stays as it is. A key that cannot be opened here gets a successor of the next generation: what is
//! lost with a master key is what was sealed before, never what comes.

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
    base::error::{Error, is_out_of_use},
    crypto::master_keys::MasterKeys,
    registry::Category,
};

const KEY_CONTEXT: &str = "subject-keys";

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

/// A key and the number of those that it comes after.
#[derive(Clone, Copy)]
struct Generation {
    key: Key,
    number: i32,
}

/// Seals the values of one transaction.
pub struct Sealer {
    keys: MasterKeys,
    known: HashMap<(Uuid, String), Generation>,
    fresh: Vec<ActiveModel>,
    /// The key that wraps those that are made here: the database refuses them where another one is in use by then.
    wrapping: Option<Wrapping>,
    /// Subjects made in this transaction, which have no keys yet.
    new: HashSet<Uuid>,
    /// Keys of which it is known that there are none.
    absent: HashSet<(Uuid, &'static str)>,
}

impl Sealer {
    /// A sealer that knows no key yet.
    pub fn new(keys: &MasterKeys) -> Self {
        let (known, fresh, wrapping) = (HashMap::new(), Vec::new(), None);
        Self { keys: keys.clone(), known, fresh, wrapping, new: HashSet::new(), absent: HashSet::new() }
    }

    /// Notes that `subject` is made in this transaction.
    pub fn introduce(&mut self, subject: Uuid) {
        self.new.insert(subject);
    }

    /// Takes a key that was read already, if it can be opened; else it is looked for anew when it is needed.
    ///
    /// # Errors
    /// `INTERNAL`, should the derivation refuse.
    pub fn take(&mut self, row: &subject_key::Model) -> Result<(), Error> {
        if let Entry::Vacant(vacant) = self.known.entry((row.subject_id, row.category.clone()))
            && let Some(key) = unwrap(&self.keys, row)?
        {
            vacant.insert(Generation { key, number: row.generation });
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
        let missing = self.missing(subject, parts);
        if !missing.is_empty() {
            self.load(connection, now, subject, &missing).await?;
        }
        self.sealed(id, subject, parts)
    }

    /// The same without a look at the database; `None` where a key of `subject` may be there.
    ///
    /// # Errors
    /// `INTERNAL` when the master key in use is not known here.
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

    /// Gives all that it knows away and begins anew.
    pub fn take_all(&mut self) -> Self {
        let empty = Self::new(&self.keys);
        std::mem::replace(self, empty)
    }

    /// Categories of which no key of `subject` is known yet.
    fn missing(&self, subject: Uuid, parts: &BTreeMap<&'static str, Vec<u8>>) -> Vec<&'static str> {
        let unknown = |part: &&'static str| !self.known.contains_key(&(subject, (*part).to_owned()));
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
            let key = self.known.get(&(subject, (*category).to_owned()));
            let key = key.ok_or_else(|| Error::internal("a subject key is missing"))?;
            let text = seal(&key.key, &context(id, category), plain)?;
            sealed.insert(category, key.mark(text));
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
        let asked = categories.iter().copied().filter(|category| self.may_have(subject, category));
        let asked: Vec<&str> = asked.collect();
        let of_subject = Entity::find()
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::Category.is_in(asked.iter().copied()))
            .order_by_asc(Column::Generation);
        let stored = match asked.is_empty() {
            true => Vec::new(),
            false => of_subject.all(connection).await?,
        };
        let mut next: HashMap<String, i32> = HashMap::new();
        for row in stored {
            next.insert(row.category.clone(), row.generation + 1);
            // The latest that can be opened counts.
            if let Some(key) = unwrap(&self.keys, &row)? {
                self.known.insert((subject, row.category), Generation { key, number: row.generation });
            }
        }
        self.make(now, subject, categories, &next)
    }

    /// Makes the keys of `categories` that are not known, in the generation that comes `next`.
    fn make(
        &mut self,
        now: DateTime<Utc>,
        subject: Uuid,
        categories: &[&'static str],
        next: &HashMap<String, i32>,
    ) -> Result<(), Error> {
        for category in categories {
            let place = (subject, (*category).to_owned());
            if let Entry::Vacant(vacant) = self.known.entry(place) {
                let number = next.get(*category).copied().unwrap_or_default();
                let fresh = Generation { key: rand::random(), number };
                let wrapping = match &mut self.wrapping {
                    Some(wrapping) => wrapping,
                    none => none.insert(Wrapping::of(&self.keys)?),
                };
                self.fresh.push(wrapping.wrap(subject, category, fresh, now)?);
                vacant.insert(fresh);
            }
        }
        Ok(())
    }

    /// Writes the keys that were made.
    ///
    /// # Errors
    /// From the database; transient where another writer made one of them in between, or another master key is in use by now: the
    /// same again finds it.
    pub async fn store<C: ConnectionTrait>(&mut self, connection: &C) -> Result<(), Error> {
        for chunk in std::mem::take(&mut self.fresh).chunks(1_000) {
            insert(connection, &self.keys, chunk).await?;
        }
        Ok(())
    }
}

/// Writes keys that were wrapped just now.
///
/// # Errors
/// Those of [`Sealer::store`].
pub async fn insert<C: ConnectionTrait>(
    connection: &C,
    keys: &MasterKeys,
    rows: &[ActiveModel],
) -> Result<(), Error> {
    let inserted = Entity::insert_many(rows.iter().cloned()).exec_without_returning(connection).await;
    inserted.map(|_| ()).map_err(|error| refused(keys, error))
}

/// The database takes no key that is wrapped by another master key than the one in use.
pub fn refused(keys: &MasterKeys, error: DbErr) -> Error {
    if is_out_of_use(&error) {
        keys.doubt();
        return Error::repeat();
    }
    error.into()
}

impl Generation {
    /// A sealed text that tells under which generation it was sealed; of the first one it tells nothing.
    fn mark(self, sealed: String) -> String {
        if self.number == 0 { sealed } else { format!("{}:{sealed}", self.number) }
    }
}

/// The generation under which a text was sealed, and the text.
fn marked(text: &str) -> Option<(i32, &str)> {
    match text.split_once(':') {
        Some((number, sealed)) => Some((number.parse().ok()?, sealed)),
        None => Some((0, text)),
    }
}

/// A first key of `subject`, wrapped by the master key in use.
///
/// # Errors
/// `INTERNAL` when the master key in use is not known here.
pub fn first(
    keys: &MasterKeys,
    subject: Uuid,
    category: &str,
    key: Key,
    now: DateTime<Utc>,
) -> Result<ActiveModel, Error> {
    Wrapping::of(keys)?.wrap(subject, category, Generation { key, number: 0 }, now)
}

/// The key that wraps keys of subjects, and the name of its master key.
struct Wrapping {
    key: Key,
    name: String,
}

impl Wrapping {
    fn of(keys: &MasterKeys) -> Result<Self, Error> {
        let (key, name) = keys.wrapping(KEY_CONTEXT)?;
        Ok(Self { key, name })
    }

    fn wrap(
        &self,
        subject: Uuid,
        category: &str,
        key: Generation,
        now: DateTime<Utc>,
    ) -> Result<ActiveModel, Error> {
        Ok(ActiveModel {
            subject_id: Set(subject),
            category: Set(category.to_owned()),
            generation: Set(key.number),
            wrapped: Set(seal(&self.key, &context(subject, category), &key.key)?),
            wrapped_by: Set(self.name.clone()),
            created_at: Set(now),
        })
    }
}

/// The key in `row`; `None` when it cannot be opened: its master key is not known, or it is not what was wrapped.
fn unwrap(keys: &MasterKeys, row: &subject_key::Model) -> Result<Option<Key>, Error> {
    let Some(master) = keys.derive_under(&row.wrapped_by, KEY_CONTEXT)? else { return Ok(None) };
    let key = open(&master, &context(row.subject_id, &row.category), &row.wrapped);
    Ok(key.and_then(|bytes| Key::try_from(bytes.as_slice()).ok()))
}

/// What an entry holds by data category.
fn parts(sealed: &str) -> BTreeMap<String, String> {
    serde_json::from_str(sealed).unwrap_or_default()
}

/// Opens values of entries for those who may read them.
#[derive(Default)]
pub struct Opener(HashMap<(Uuid, String, i32), Key>);

impl Opener {
    /// Fetches the keys of `subjects`, as far as they exist.
    ///
    /// # Errors
    /// `INTERNAL` from the database, or for a key that cannot be opened.
    pub async fn of<C: ConnectionTrait>(
        connection: &C,
        keys: &MasterKeys,
        subjects: impl IntoIterator<Item = Uuid>,
    ) -> Result<Self, Error> {
        let mut known = HashMap::new();
        let rows = Entity::find().filter(Column::SubjectId.is_in(subjects)).all(connection).await?;
        for row in rows {
            if let Some(key) = unwrap(keys, &row)? {
                known.insert((row.subject_id, row.category, row.generation), key);
            }
        }
        Ok(Self(known))
    }

    /// The values that `sealed`, of the entry `id` about `subject`, holds by coordinate: before and after. What cannot be
    /// opened, since its key was destroyed, is left out.
    pub fn open(&self, id: Uuid, subject: Uuid, sealed: &str) -> BTreeMap<String, [serde_json::Value; 2]> {
        let mut values = BTreeMap::new();
        for (category, sealed) in parts(sealed) {
            let plain = self.part(id, subject, &category, &sealed);
            let part: Option<BTreeMap<_, _>> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
            values.extend(part.unwrap_or_default());
        }
        values
    }

    /// Whether all of `sealed`, of the entry `id` about `subject`, can be opened.
    pub fn opens(&self, id: Uuid, subject: Uuid, sealed: &str) -> bool {
        parts(sealed).iter().all(|(category, sealed)| self.part(id, subject, category, sealed).is_some())
    }

    fn part(&self, id: Uuid, subject: Uuid, category: &str, sealed: &str) -> Option<Vec<u8>> {
        let (generation, sealed) = marked(sealed)?;
        let key = self.0.get(&(subject, category.to_owned(), generation))?;
        open(key, &context(id, category), sealed)
    }
}

/// Whether the key in `row` can be opened.
///
/// # Errors
/// `INTERNAL`, should the derivation refuse.
pub fn opens(keys: &MasterKeys, row: &subject_key::Model) -> Result<bool, Error> {
    Ok(unwrap(keys, row)?.is_some())
}

/// Wraps the key in `row` anew under the master key in use; `None` when it cannot be opened.
///
/// # Errors
/// `INTERNAL` when the master key in use is not known here.
pub fn rewrapped(keys: &MasterKeys, row: &subject_key::Model) -> Result<Option<ActiveModel>, Error> {
    let Some(key) = unwrap(keys, row)? else { return Ok(None) };
    let key = Generation { key, number: row.generation };
    Wrapping::of(keys)?.wrap(row.subject_id, &row.category, key, row.created_at).map(Some)
}

/// The key in `row`.
///
/// # Errors
/// `INTERNAL` when it cannot be opened.
pub fn unwrapped(keys: &MasterKeys, row: &subject_key::Model) -> Result<[u8; 32], Error> {
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
