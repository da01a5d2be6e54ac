//! Cursors: the sort values of a row, sealed for one caller, purpose, list and order. Room: engine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::{ChaCha20Poly1305, Nonce, aead::Payload};
use chacha20poly1305::{KeyInit as _, aead::Aead as _};
use hkdf::Hkdf;
use sha2::Sha256;

use super::cell::Cell;
use crate::{
    base::{error::Error, secret::SecretKey},
    crypto::master_keys::MasterKeys,
};

/// Seals and opens cursors. The nonce is derived from the content (as in RFC 5297): the same row always gives the
/// same cursor, and no nonce is used for two contents.
pub(in crate::engine) struct Cursors {
    cipher: ChaCha20Poly1305,
    /// Ciphers of the other known master keys, which open cursors sealed before a rotation or by another server.
    others: Vec<ChaCha20Poly1305>,
    nonces: SecretKey,
}

impl Cursors {
    pub(in crate::engine) fn new(keys: &MasterKeys) -> Result<Self, Error> {
        let cipher = |key: &SecretKey| ChaCha20Poly1305::new(key.expose_secret().into());
        let others = keys.derive_others("cursor")?.iter().map(cipher).collect();
        Ok(Self { cipher: cipher(&keys.derive("cursor")?), others, nonces: keys.derive("cursor-nonce")? })
    }

    pub(in crate::engine) fn seal(&self, scope: &str, values: &[Cell]) -> Result<String, Error> {
        let sealing_failed = || Error::internal("a cursor could not be sealed");
        let plaintext = serde_json::to_vec(values).map_err(|_| sealing_failed())?;
        let mut nonce = [0u8; 12];
        let mut input = Vec::with_capacity(plaintext.len() + scope.len() + 8);
        input.extend((scope.len() as u64).to_be_bytes());
        input.extend(scope.as_bytes());
        input.extend(&plaintext);
        Hkdf::<Sha256>::new(Some(self.nonces.expose_secret()), &input)
            .expand(b"nonce", &mut nonce)
            .map_err(|_| sealing_failed())?;
        let payload = Payload { msg: &plaintext, aad: scope.as_bytes() };
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), payload).map_err(|_| sealing_failed())?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// # Errors
    /// `BAD_USER_INPUT`, equal for a tampered cursor and for one of another caller, purpose, list or order.
    pub(in crate::engine) fn open(
        &self,
        scope: &str,
        cursor: &str,
        width: usize,
    ) -> Result<Vec<Cell>, Error> {
        let open = || {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (nonce, sealed) = bytes.split_at_checked(12)?;
            let open = |cipher: &ChaCha20Poly1305| {
                let payload = Payload { msg: sealed, aad: scope.as_bytes() };
                cipher.decrypt(Nonce::from_slice(nonce), payload).ok()
            };
            let plaintext = std::iter::once(&self.cipher).chain(&self.others).find_map(open)?;
            let values: Vec<Cell> = serde_json::from_slice(&plaintext).ok()?;
            (values.len() == width).then_some(values)
        };
        open().ok_or_else(|| Error::bad_input("this cursor is not valid here: it belongs to another list, order, purpose or caller, or was changed"))
    }
}
