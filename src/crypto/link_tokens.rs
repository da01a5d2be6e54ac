//! Links for persons: made and recognised; what they open is decided elsewhere. Room: crypto.
//!
//! A mailed link holds 32 bytes made of the id of its row, of which only a hash is stored: it can be made again when a mail
//! has to be sent again, and nowhere be read. A preference link says itself whose it is and which mailbox got it, sealed, so that
//! nothing is stored for it: it shows something for as long as that mailbox is one of the contact, and ends the mails for good.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{base::error::Error, crypto::installation_keys::InstallationKeys};

/// First letter of a mailed link.
const ONE_TIME_PREFIX: char = 'm';
/// First letter of a preference link.
const PREFERENCE_PREFIX: char = 'p';
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 520;
/// Longest key of a mailbox that a link names, in bytes (RFC 5321, 4.5.3.1.3); longer ones are no mailboxes.
const MAX_MAILBOX_KEY_BYTES: usize = 254;
/// What a preference link is sealed for: one that names a short digest, and one that names the mailbox.
const PREFERENCE_CONTEXTS: [&[u8]; 2] = [b"preference-1", b"preference-2"];

/// Whose preferences a link opens, and from the mails of which purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The contact.
    pub contact: Uuid,
    /// Code of the purpose that the link was made for.
    pub purpose: String,
    /// The mailbox that it was made for.
    pub mailbox: Mailbox,
}

/// The mailbox that a preference link was made for.
#[derive(Clone, PartialEq, Eq)]
pub enum Mailbox {
    /// Its key. Whoever has the link ends the mails to this mailbox, whatever address the contact has by then.
    Key(String),
    /// A short digest, in links of before: the mailbox can be recognised and not found.
    Digest([u8; 8]),
}

impl Mailbox {
    /// The mailbox with this key. What is too long to be one is recognised alone.
    ///
    /// # Errors
    /// Keys that cannot be derived.
    pub fn of(ring: &InstallationKeys, key: &str) -> Result<Self, Error> {
        if key.len() > MAX_MAILBOX_KEY_BYTES {
            return Ok(Self::Digest(short_digest(ring, key)?));
        }
        Ok(Self::Key(key.to_owned()))
    }

    /// Whether it is the mailbox with this key.
    ///
    /// # Errors
    /// Keys that cannot be derived.
    pub fn is(&self, ring: &InstallationKeys, key: &str) -> Result<bool, Error> {
        match self {
            Self::Key(own) => Ok(own == key),
            Self::Digest(digest) => Ok(short_digest(ring, key)? == *digest),
        }
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Mailbox::Key",
            Self::Digest(_) => "Mailbox::Digest",
        })
    }
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
pub fn mailed(ring: &InstallationKeys, id: Uuid) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(&ring.links, "mailed", id.as_bytes())?;
    Ok(format!("{ONE_TIME_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of a token, hexadecimal: all that is stored of it. A plain hash suffices, since the token is no word of a person.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Whether `token` has the form of a mailed link.
pub fn is_mailed(token: &str) -> bool {
    token.starts_with(ONE_TIME_PREFIX) && token.len() == 44
}

/// A short digest of a mailbox, which preference links of before are bound to.
///
/// # Errors
/// Keys that cannot be derived.
pub fn short_digest(ring: &InstallationKeys, address_key: &str) -> Result<[u8; 8], Error> {
    prf(&ring.links, "address", address_key.as_bytes())
}

/// A digest of a mailbox by which mails to it are counted; hexadecimal.
///
/// # Errors
/// Keys that cannot be derived.
pub fn mail_digest(ring: &InstallationKeys, address_key: &str) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(&ring.links, "mail", address_key.as_bytes())?;
    Ok(hex::encode(bytes))
}

/// The token of a preference link; the same for the same contact, purpose and mailbox (the nonce is derived from what is sealed,
/// as in RFC 5297).
///
/// # Errors
/// Keys that cannot be derived.
pub fn preference(ring: &InstallationKeys, preference: &Preference) -> Result<String, Error> {
    let mut plain = preference.contact.as_bytes().to_vec();
    let [short, named] = PREFERENCE_CONTEXTS;
    let context = match &preference.mailbox {
        Mailbox::Digest(digest) => {
            plain.extend(digest);
            plain.extend(preference.purpose.as_bytes());
            short
        }
        Mailbox::Key(key) => {
            plain.extend(preference.purpose.as_bytes());
            plain.push(0);
            plain.extend(key.as_bytes());
            named
        }
    };
    let nonce: [u8; 24] = prf(&ring.links, "preference-nonce", &plain)?;
    let sealed = cipher(ring)?
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: context })
        .map_err(|_| Error::internal("sealing"))?;
    Ok(format!("{PREFERENCE_PREFIX}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
}

/// What a preference link says, if it is one of ours.
pub fn open_preference(ring: &InstallationKeys, token: &str) -> Option<Preference> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFERENCE_PREFIX)?).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(24)?;
    let cipher = cipher(ring).ok()?;
    let open = |aad| cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad }).ok();
    let [short, named] = PREFERENCE_CONTEXTS;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    if let Some(plain) = open(named) {
        let (contact, rest) = plain.split_at_checked(16)?;
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let (purpose, key) = (text(parts.next()?)?, text(parts.next()?)?);
        return Some(Preference {
            contact: Uuid::from_slice(contact).ok()?,
            purpose,
            mailbox: Mailbox::Key(key),
        });
    }
    let plain = open(short)?;
    let (contact, rest) = plain.split_at_checked(16)?;
    let (digest, purpose) = rest.split_at_checked(8)?;
    Some(Preference {
        contact: Uuid::from_slice(contact).ok()?,
        purpose: text(purpose)?,
        mailbox: Mailbox::Digest(digest.try_into().ok()?),
    })
}

fn cipher(ring: &InstallationKeys) -> Result<XChaCha20Poly1305, Error> {
    let key: [u8; 32] = prf(&ring.links, "preference", b"")?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::public_pages::Pages;

    fn ring(seed: u8) -> InstallationKeys {
        InstallationKeys {
            links: [seed; 32],
            suppression: [seed; 32],
            signing: [seed; 32],
            lookups: [seed; 32],
        }
    }

    #[test]
    fn preference_links_read_back_under_their_key_alone() {
        for mailbox in [
            Mailbox::of(&ring(1), "anna@example.org").unwrap(),
            Mailbox::Digest(short_digest(&ring(1), "anna@example.org").unwrap()),
        ] {
            let meant = Preference { contact: Uuid::from_u128(7), purpose: "newsletter".to_owned(), mailbox };
            let token = preference(&ring(1), &meant).unwrap();
            assert_eq!(preference(&ring(1), &meant).unwrap(), token);
            assert_eq!(open_preference(&ring(1), &token), Some(meant.clone()));
            assert_eq!(open_preference(&ring(2), &token), None);
            assert!(meant.mailbox.is(&ring(1), "anna@example.org").unwrap());
            assert!(!meant.mailbox.is(&ring(1), "otto@example.org").unwrap());
            for at in 1..token.len() {
                let mut bent = token.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
                assert_ne!(
                    open_preference(&ring(1), std::str::from_utf8(&bent).unwrap()),
                    Some(meant.clone())
                );
            }
            assert!(!is_mailed(&token));
        }
    }

    /// As it was made before links named the mailbox: mails with it lie in inboxes.
    #[test]
    fn a_link_of_before_opens() {
        let token = "p8VmLnXKSJBfMuUQ09uqZt1ZYNUMKmvLFnFckahnmU8-ePbDZOm-M_A1dW_N_yOJMez8qTi8IPYn8R3Zd4Zrj3zOq0Rn6NSRn2xg";
        let meant = Preference {
            contact: Uuid::from_u128(7),
            purpose: "newsletter".to_owned(),
            mailbox: Mailbox::Digest(short_digest(&ring(1), "anna@example.org").unwrap()),
        };
        assert_eq!(open_preference(&ring(1), token), Some(meant.clone()));
        assert_eq!(preference(&ring(1), &meant).unwrap(), token);
    }

    #[test]
    fn the_longest_preference_link_opens_and_fits_a_header_line_of_a_mail() {
        let purpose = "p".repeat(crate::policy::MAX_CODE_CHARS);
        let (longest, longer) = ("k".repeat(MAX_MAILBOX_KEY_BYTES), "k".repeat(MAX_MAILBOX_KEY_BYTES + 1));
        for key in [longest, longer] {
            let mailbox = Mailbox::of(&ring(1), &key).unwrap();
            assert_eq!(matches!(mailbox, Mailbox::Key(_)), key.len() == MAX_MAILBOX_KEY_BYTES);
            let meant = Preference { contact: Uuid::max(), purpose: purpose.clone(), mailbox };
            let token = preference(&ring(1), &meant).unwrap();
            assert_eq!(open_preference(&ring(1), &token), Some(meant));
            let base = format!(
                "https://{}",
                "h".repeat(crate::config::public_pages::MAX_URL_CHARS - "https://".len())
            );
            let pages = Pages { public_url: Some(base), ..Pages::default() };
            let line = format!("List-Unsubscribe: <{}>\r\n", pages.url(&token).unwrap());
            // RFC 5322, 2.1.1. Postfix cuts what is longer, and the link is dead.
            assert!(line.len() <= 998, "{}", line.len());
        }
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
