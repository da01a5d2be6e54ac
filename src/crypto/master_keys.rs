//! Master keys: those that the configuration names, and which of them the database says is in use. Room: crypto.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use hkdf::Hkdf;
use sha2::Sha256;

use crate::base::error::Error;

/// In the place of an index: the master key in use is none of those that are known here.
const UNKNOWN_INDEX: usize = usize::MAX;

/// Keys derived from a master key by HKDF-SHA-256 (RFC 5869), one per use.
///
/// The configuration names one master key, and beside it the one before a rotation. Which of them wraps new keys, the database
/// says: all servers change over at the same instant, whatever each of them calls the present one. All clones know the same.
#[derive(Clone)]
pub struct MasterKeys {
    /// The one that the configuration calls the present one.
    configured: [u8; 32],
    /// Those before it.
    earlier: Arc<[[u8; 32]]>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Which is in use: 0 for the configured one, then the earlier ones, or [`UNKNOWN_INDEX`].
    in_use: AtomicUsize,
    /// Whether the database has another one in use than this process thought.
    in_doubt: AtomicBool,
}

impl MasterKeys {
    /// Keys under `master`.
    pub fn new(master: [u8; 32]) -> Self {
        Self::with_previous(master, Vec::new())
    }

    /// The same, with earlier master keys.
    pub fn with_previous(master: [u8; 32], previous: Vec<[u8; 32]>) -> Self {
        Self { configured: master, earlier: previous.into(), state: Arc::default() }
    }

    /// Fresh random keys, which live as long as this value.
    pub fn random() -> Self {
        Self::new(rand::random())
    }

    /// The key for one use, e.g. `cursor`, under the master key in use.
    ///
    /// # Errors
    /// `INTERNAL`, should the derivation refuse.
    pub fn derive(&self, usage: &str) -> Result<[u8; 32], Error> {
        derive(self.present(), usage)
    }

    /// The key for one use, to wrap other keys with, and the name of its master key.
    ///
    /// # Errors
    /// `INTERNAL` when the master key in use is not known here: what it cannot open must not be written.
    pub fn wrapping(&self, usage: &str) -> Result<([u8; 32], String), Error> {
        if !self.knows_master_in_use() {
            return Err(Error::internal("the master key in use is not known to this server"));
        }
        let master = self.present();
        Ok((derive(master, usage)?, name(master)?))
    }

    /// The name of the master key that [`MasterKeys::derive`] derives from: 16 hexadecimal digits that tell nothing of it.
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn name(&self) -> Result<String, Error> {
        name(self.present())
    }

    /// The name of the master key that the configuration calls the present one.
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn configured(&self) -> Result<String, Error> {
        name(&self.configured)
    }

    /// The names of all that are known here, the configured one first.
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn names(&self) -> Result<Vec<String>, Error> {
        self.known().map(name).collect()
    }

    /// The keys for one use under every known master key but that of [`MasterKeys::derive`].
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn derive_others(&self, usage: &str) -> Result<Vec<[u8; 32]>, Error> {
        let present = self.present();
        self.known().filter(|master| *master != present).map(|master| derive(master, usage)).collect()
    }

    /// The key for one use under the master key called `name_of_master`, if it is known.
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn derive_under(&self, name_of_master: &str, usage: &str) -> Result<Option<[u8; 32]>, Error> {
        for master in self.known() {
            if name(master)? == name_of_master {
                return derive(master, usage).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes the master key called `name_of_master` in use from now on, and tells whether it is known here.
    ///
    /// # Errors
    /// As [`MasterKeys::derive`].
    pub fn take_in_use(&self, name_of_master: &str) -> Result<bool, Error> {
        let names = self.names()?;
        let index = names.iter().position(|known| known == name_of_master);
        self.state.in_use.store(index.unwrap_or(UNKNOWN_INDEX), Ordering::SeqCst);
        self.state.in_doubt.store(false, Ordering::SeqCst);
        Ok(index.is_some())
    }

    /// Whether the master key in use is known here.
    pub fn knows_master_in_use(&self) -> bool {
        self.state.in_use.load(Ordering::SeqCst) != UNKNOWN_INDEX
    }

    /// Notes that the database has another master key in use.
    pub fn doubt(&self) {
        self.state.in_doubt.store(true, Ordering::SeqCst);
    }

    /// Whether the database is to be asked which master key is in use.
    pub fn is_in_doubt(&self) -> bool {
        self.state.in_doubt.load(Ordering::SeqCst)
    }

    fn known(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.configured).chain(self.earlier.iter())
    }

    fn present(&self) -> &[u8; 32] {
        let index = self.state.in_use.load(Ordering::SeqCst);
        self.known().nth(index).unwrap_or(&self.configured)
    }
}

fn derive(master: &[u8; 32], usage: &str) -> Result<[u8; 32], Error> {
    let mut key = [0u8; 32];
    Hkdf::<Sha256>::new(Some(b"zweck"), master)
        .expand(usage.as_bytes(), &mut key)
        .map_err(|_| Error::internal("key derivation"))?;
    Ok(key)
}

fn name(master: &[u8; 32]) -> Result<String, Error> {
    Ok(derive(master, "name")?.first_chunk::<8>().map(hex::encode).unwrap_or_default())
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
        let (new, old) = (name(&[8; 32]).unwrap(), name(&[7; 32]).unwrap());
        assert_eq!((keys.name().unwrap(), keys.configured().unwrap()), (new.clone(), new.clone()));
        // A clone knows what the others know.
        assert!(keys.clone().take_in_use(&old).unwrap());
        assert_eq!((keys.name().unwrap(), keys.configured().unwrap()), (old.clone(), new.clone()));
        assert_eq!(keys.derive("x").unwrap(), derive(&[7; 32], "x").unwrap());
        assert_eq!(keys.derive_others("x").unwrap(), [derive(&[8; 32], "x").unwrap()]);
        assert_eq!(keys.derive_under(&new, "x").unwrap(), Some(derive(&[8; 32], "x").unwrap()));
        assert_eq!(keys.wrapping("x").unwrap().1, old);
    }

    #[test]
    fn nothing_is_wrapped_under_a_key_that_is_not_in_use() {
        let keys = MasterKeys::new([8; 32]);
        keys.doubt();
        assert!(!keys.take_in_use("0123456789abcdef").unwrap());
        assert!(!keys.is_in_doubt() && !keys.knows_master_in_use());
        assert!(keys.wrapping("x").is_err());
        // What seals for a while only goes on.
        assert!(keys.derive("cursor").is_ok());
    }
}
