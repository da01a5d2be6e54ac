//! Master keys: those in the configuration, and the one that the database marks as in use. Room: crypto.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use hkdf::Hkdf;
use sha2::Sha256;

use crate::base::{error::Error, secret::SecretKey};

/// Marks that the master key in use is not among the configured ones.
const UNKNOWN_INDEX: usize = usize::MAX;

/// Keys derived from a master key with HKDF-SHA-256 (RFC 5869), one per usage.
///
/// The configuration holds one master key and, during a rotation, the previous one. The database says which of them
/// wraps new keys, so that all servers switch at the same instant, whatever their configuration calls the current
/// one. Clones share this state.
#[derive(Clone)]
pub struct MasterKeys {
    /// The current key according to the configuration.
    configured: SecretKey,
    /// The previous keys.
    earlier: Arc<[SecretKey]>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Index of the key in use: 0 for the configured one, then the previous ones, or [`UNKNOWN_INDEX`].
    in_use: AtomicUsize,
    /// Whether the database may have another key in use than this process knows.
    in_doubt: AtomicBool,
}

impl MasterKeys {
    /// Keys derived from `master`.
    pub fn new(master: impl Into<SecretKey>) -> Self {
        Self::with_previous(master.into(), Vec::new())
    }

    /// Like [`MasterKeys::new`], with previous master keys.
    pub fn with_previous<K: Into<SecretKey>>(master: K, previous: Vec<K>) -> Self {
        let earlier = previous.into_iter().map(Into::into).collect();
        Self { configured: master.into(), earlier, state: Arc::default() }
    }

    /// Random keys, which exist only as long as this value.
    pub fn random() -> Self {
        Self::new(SecretKey::random())
    }

    /// The key for a usage, e.g. `cursor`, derived from the master key in use.
    ///
    /// # Errors
    /// `INTERNAL` if the derivation fails.
    pub fn derive(&self, usage: &str) -> Result<SecretKey, Error> {
        derive(self.present(), usage)
    }

    /// The key for a usage that wraps other keys, and the id of its master key.
    ///
    /// # Errors
    /// `INTERNAL` if the master key in use is not known here: this process must not write what it cannot open.
    pub fn wrapping(&self, usage: &str) -> Result<(SecretKey, String), Error> {
        if !self.knows_master_in_use() {
            return Err(Error::internal("the master key in use is not known to this server"));
        }
        let master = self.present();
        Ok((derive(master, usage)?, key_id(master)?))
    }

    /// The id of the master key that [`MasterKeys::derive`] uses: 16 hexadecimal digits that reveal nothing about it.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn key_id(&self) -> Result<String, Error> {
        key_id(self.present())
    }

    /// The id of the current master key according to the configuration.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn configured(&self) -> Result<String, Error> {
        key_id(&self.configured)
    }

    /// The ids of all known master keys, the configured one first.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn names(&self) -> Result<Vec<String>, Error> {
        self.all().map(key_id).collect()
    }

    /// The keys for a usage under every known master key except the one that [`MasterKeys::derive`] uses.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn derive_others(&self, usage: &str) -> Result<Vec<SecretKey>, Error> {
        let present = self.present();
        self.all().filter(|master| *master != present).map(|master| derive(master, usage)).collect()
    }

    /// The key for a usage under the master key with the given id, if it is known.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn derive_under(&self, master_id: &str, usage: &str) -> Result<Option<SecretKey>, Error> {
        for master in self.all() {
            if key_id(master)? == master_id {
                return derive(master, usage).map(Some);
            }
        }
        Ok(None)
    }

    /// Switches to the master key with the given id and returns whether it is known here.
    ///
    /// # Errors
    /// Those of [`MasterKeys::derive`].
    pub fn set_in_use(&self, master_id: &str) -> Result<bool, Error> {
        let names = self.names()?;
        let index = names.iter().position(|id| id == master_id);
        self.state.in_use.store(index.unwrap_or(UNKNOWN_INDEX), Ordering::SeqCst);
        self.state.in_doubt.store(false, Ordering::SeqCst);
        Ok(index.is_some())
    }

    /// Whether the master key in use is known here.
    pub fn knows_master_in_use(&self) -> bool {
        self.state.in_use.load(Ordering::SeqCst) != UNKNOWN_INDEX
    }

    /// Notes that the database has another master key in use.
    pub fn mark_in_doubt(&self) {
        self.state.in_doubt.store(true, Ordering::SeqCst);
    }

    /// Whether the database must be asked which master key is in use.
    pub fn is_in_doubt(&self) -> bool {
        self.state.in_doubt.load(Ordering::SeqCst)
    }

    fn all(&self) -> impl Iterator<Item = &SecretKey> {
        std::iter::once(&self.configured).chain(self.earlier.iter())
    }

    fn present(&self) -> &SecretKey {
        let index = self.state.in_use.load(Ordering::SeqCst);
        self.all().nth(index).unwrap_or(&self.configured)
    }
}

fn derive(master: &SecretKey, usage: &str) -> Result<SecretKey, Error> {
    let mut key = [0u8; 32];
    Hkdf::<Sha256>::new(Some(b"zweck"), master.expose_secret())
        .expand(usage.as_bytes(), &mut key)
        .map_err(|_| Error::internal("key derivation"))?;
    Ok(key.into())
}

fn key_id(master: &SecretKey) -> Result<String, Error> {
    Ok(derive(master, "name")?.expose_secret().first_chunk::<8>().map(hex::encode).unwrap_or_default())
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKeys(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_says_which_of_the_known_keys_is_in_use() {
        let keys = MasterKeys::with_previous([8; 32], vec![[7; 32]]);
        let (new, old) = (key_id(&[8; 32].into()).unwrap(), key_id(&[7; 32].into()).unwrap());
        assert_eq!((keys.key_id().unwrap(), keys.configured().unwrap()), (new.clone(), new.clone()));
        // Clones share the state.
        assert!(keys.clone().set_in_use(&old).unwrap());
        assert_eq!((keys.key_id().unwrap(), keys.configured().unwrap()), (old.clone(), new.clone()));
        assert_eq!(keys.derive("x").unwrap(), derive(&[7; 32].into(), "x").unwrap());
        assert_eq!(keys.derive_others("x").unwrap(), [derive(&[8; 32].into(), "x").unwrap()]);
        assert_eq!(keys.derive_under(&new, "x").unwrap(), Some(derive(&[8; 32].into(), "x").unwrap()));
        assert_eq!(keys.wrapping("x").unwrap().1, old);
    }

    #[test]
    fn nothing_is_wrapped_under_a_key_that_is_not_in_use() {
        let keys = MasterKeys::new([8; 32]);
        keys.mark_in_doubt();
        assert!(!keys.set_in_use("0123456789abcdef").unwrap());
        assert!(!keys.is_in_doubt() && !keys.knows_master_in_use());
        assert!(keys.wrapping("x").is_err());
        // Short-lived seals still work.
        assert!(keys.derive("cursor").is_ok());
    }
}
