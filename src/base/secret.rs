//! Secrets: wiped from memory when they are dropped, shown by neither Debug nor Serialize. Room: base.
//!
//! A URL with a password stays a `String`, and the configuration redacts it: the pool and the mailer hold copies of
//! their own as long as the process runs.

use std::fmt;

pub use secrecy::{ExposeSecret, SecretString};
use secrecy::{SecretBox, zeroize::Zeroize};
use subtle::ConstantTimeEq;

/// 32 bytes of key material.
pub struct SecretKey(SecretBox<[u8; 32]>);

impl SecretKey {
    /// A random key.
    pub fn random() -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; 32]| *key = rand::random()))
    }

    /// The bytes, for the function that computes with them.
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// The key in `bytes`, if they are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key: &[u8; 32]| Self(SecretBox::new(Box::new(*key))))
    }
}

impl From<[u8; 32]> for SecretKey {
    fn from(mut bytes: [u8; 32]) -> Self {
        let key = Self(SecretBox::new(Box::new(bytes)));
        bytes.zeroize();
        key
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self(SecretBox::new(Box::new(*self.expose_secret())))
    }
}

/// Compares in constant time.
impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_and_clones_are_equal() {
        let key = SecretKey::random();
        assert_eq!(format!("{key:?}"), "SecretKey(***)");
        assert_eq!(key.clone(), key);
        assert_ne!(key, SecretKey::random());
        assert_eq!(SecretKey::from_slice(key.expose_secret()), Some(key));
        assert_eq!(SecretKey::from_slice(&[0; 31]), None);
    }
}
