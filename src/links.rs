//! Links for persons: made and recognised; what they open is decided elsewhere (floor 2).
//!
//! A mailed link holds 32 bytes made of the id of its row, of which only a hash is stored: it can be made again when a mail
//! has to be sent again, and nowhere be read. A preference link says itself whose it is, sealed, so that nothing is stored for it:
//! it holds for as long as the address it was made for is that of the contact.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{context::Ring, error::Error};

/// First letter of a mailed link.
const MAILED: char = 'm';
/// First letter of a preference link.
const PREFERENCE: char = 'p';
/// Longest token that is looked at.
const LONGEST: usize = 300;
const CONTEXT: &[u8] = b"preference-1";

/// Whose preferences a link opens, and from the mails of which purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The contact.
    pub contact: Uuid,
    /// Code of the purpose that the link was made for.
    pub purpose: String,
    /// Short digest of the mailbox it was made for.
    pub address: [u8; 8],
}

fn prf<const N: usize>(key: &[u8; 32], usage: &str, input: &[u8]) -> Result<[u8; N], Error> {
    let mut out = [0u8; N];
    Hkdf::<Sha256>::new(Some(key), input)
        .expand(usage.as_bytes(), &mut out)
        .map_err(|_| Error::internal("key derivation"))?;
    Ok(out)
}

/// The token of the mailed link `id`.
///
/// # Errors
/// Keys that cannot be derived.
pub fn mailed(ring: &Ring, id: Uuid) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(&ring.links, "mailed", id.as_bytes())?;
    Ok(format!("{MAILED}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of a token, hexadecimal: all that is stored of it. A plain hash suffices, since the token is no word of a person.
pub fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `token` has the form of a mailed link.
pub fn is_mailed(token: &str) -> bool {
    token.starts_with(MAILED) && token.len() == 44
}

/// A short digest of a mailbox, which a preference link is bound to.
///
/// # Errors
/// Keys that cannot be derived.
pub fn short_digest(ring: &Ring, address_key: &str) -> Result<[u8; 8], Error> {
    prf(&ring.links, "address", address_key.as_bytes())
}

/// A digest of a mailbox by which mails to it are counted; hexadecimal.
///
/// # Errors
/// Keys that cannot be derived.
pub fn mail_digest(ring: &Ring, address_key: &str) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(&ring.links, "mail", address_key.as_bytes())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The token of a preference link; the same for the same contact, purpose and mailbox (the nonce is derived from what is sealed,
/// as in RFC 5297).
///
/// # Errors
/// Keys that cannot be derived.
pub fn preference(ring: &Ring, preference: &Preference) -> Result<String, Error> {
    let mut plain = preference.contact.as_bytes().to_vec();
    plain.extend(preference.address);
    plain.extend(preference.purpose.as_bytes());
    let nonce: [u8; 24] = prf(&ring.links, "preference-nonce", &plain)?;
    let sealed = cipher(ring)?
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: CONTEXT })
        .map_err(|_| Error::internal("sealing"))?;
    Ok(format!("{PREFERENCE}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
}

/// What a preference link says, if it is one of ours.
pub fn open_preference(ring: &Ring, token: &str) -> Option<Preference> {
    if token.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFERENCE)?).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(24)?;
    let payload = Payload { msg: sealed, aad: CONTEXT };
    let plain = cipher(ring).ok()?.decrypt(XNonce::from_slice(nonce), payload).ok()?;
    let (contact, rest) = plain.split_at_checked(16)?;
    let (address, purpose) = rest.split_at_checked(8)?;
    Some(Preference {
        contact: Uuid::from_slice(contact).ok()?,
        purpose: String::from_utf8(purpose.to_vec()).ok()?,
        address: address.try_into().ok()?,
    })
}

fn cipher(ring: &Ring) -> Result<XChaCha20Poly1305, Error> {
    let key: [u8; 32] = prf(&ring.links, "preference", b"")?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(seed: u8) -> Ring {
        Ring { links: [seed; 32], suppression: [seed; 32], signing: [seed; 32], lookups: [seed; 32] }
    }

    #[test]
    fn preference_links_read_back_under_their_key_alone() {
        let meant = Preference {
            contact: Uuid::from_u128(7),
            purpose: "newsletter".to_owned(),
            address: short_digest(&ring(1), "anna@example.org").unwrap(),
        };
        let token = preference(&ring(1), &meant).unwrap();
        assert_eq!(preference(&ring(1), &meant).unwrap(), token);
        assert_eq!(open_preference(&ring(1), &token), Some(meant.clone()));
        assert_eq!(open_preference(&ring(2), &token), None);
        for at in 1..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(open_preference(&ring(1), std::str::from_utf8(&bent).unwrap()), Some(meant.clone()));
        }
        assert!(!is_mailed(&token));
    }

    #[test]
    fn mailed_links_can_be_made_again_and_tell_nothing() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let token = mailed(&ring(1), one).unwrap();
        assert_eq!(mailed(&ring(1), one).unwrap(), token);
        assert!(is_mailed(&token));
        assert_ne!(mailed(&ring(1), other).unwrap(), token);
        assert_ne!(mailed(&ring(2), one).unwrap(), token);
        assert_eq!(hash(&token).len(), 64);
        assert_eq!(open_preference(&ring(1), &token), None);
    }
}
