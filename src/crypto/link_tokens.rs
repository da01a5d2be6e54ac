//! Creates and recognises the tokens of personal links; what a link opens is decided elsewhere. Room: crypto.
//!
//! A one-time token holds 32 bytes derived from the id of its row, of which only a hash is stored: it can be derived
//! again when a mail is resent, and cannot be read from the database. A preference token contains the contact and the
//! mailbox in sealed form, so nothing is stored for it: it shows data as long as the mailbox belongs to the contact,
//! and can always be used to stop the mails.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{base::error::Error, crypto::installation_keys::InstallationKeys};

/// First letter of a one-time token.
const ONE_TIME_PREFIX: char = 'm';
/// First letter of a preference token.
const PREFERENCE_PREFIX: char = 'p';
/// Longest token that is parsed.
const MAX_TOKEN_BYTES: usize = 520;
/// Longest mailbox key in a link, in bytes (RFC 5321, 4.5.3.1.3); longer keys are no mailboxes.
const MAX_MAILBOX_KEY_BYTES: usize = 254;
/// Contexts under which preference tokens are sealed: with a short digest, and with the mailbox key.
const PREFERENCE_CONTEXTS: [&[u8]; 2] = [b"preference-1", b"preference-2"];

/// The contact whose preferences a link opens, and the purpose of the mail that carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The contact.
    pub contact: Uuid,
    /// Code of the purpose for which the link was made.
    pub purpose: String,
    /// The mailbox to which the link was sent.
    pub mailbox: Mailbox,
}

/// The mailbox to which a preference link was sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Mailbox {
    /// Its key. Whoever has the link can stop mails to this mailbox, whatever address the contact has by then.
    Key(String),
    /// A short digest, in links of earlier versions: the mailbox can be recognised but not looked up.
    Digest([u8; 8]),
}

impl Mailbox {
    /// The mailbox with this key. A key that is too long is stored as a digest.
    ///
    /// # Errors
    /// The keys cannot be derived.
    pub fn from_key(installation_keys: &InstallationKeys, key: &str) -> Result<Self, Error> {
        if key.len() > MAX_MAILBOX_KEY_BYTES {
            return Ok(Self::Digest(short_digest(installation_keys, key)?));
        }
        Ok(Self::Key(key.to_owned()))
    }

    /// Whether this is the mailbox with the given key.
    ///
    /// # Errors
    /// The keys cannot be derived.
    pub fn is(&self, installation_keys: &InstallationKeys, key: &str) -> Result<bool, Error> {
        match self {
            Self::Key(stored) => Ok(stored == key),
            Self::Digest(digest) => Ok(short_digest(installation_keys, key)? == *digest),
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

/// The one-time token of the link `id`.
///
/// # Errors
/// The keys cannot be derived.
pub fn one_time_token(installation_keys: &InstallationKeys, id: Uuid) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(installation_keys.links.expose_secret(), "mailed", id.as_bytes())?;
    Ok(format!("{ONE_TIME_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of a token in hexadecimal, the only form that is stored. A plain hash suffices because tokens are random.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Whether `token` has the form of a one-time token.
pub fn is_one_time_token(token: &str) -> bool {
    token.starts_with(ONE_TIME_PREFIX) && token.len() == 44
}

/// A short digest of a mailbox, used in preference links of earlier versions.
///
/// # Errors
/// The keys cannot be derived.
pub fn short_digest(installation_keys: &InstallationKeys, address_key: &str) -> Result<[u8; 8], Error> {
    prf(installation_keys.links.expose_secret(), "address", address_key.as_bytes())
}

/// A digest of a mailbox under which mails to it are counted; hexadecimal.
///
/// # Errors
/// The keys cannot be derived.
pub fn mail_digest(installation_keys: &InstallationKeys, address_key: &str) -> Result<String, Error> {
    let bytes: [u8; 32] = prf(installation_keys.links.expose_secret(), "mail", address_key.as_bytes())?;
    Ok(hex::encode(bytes))
}

/// The token of a preference link. The same contact, purpose and mailbox always give the same token, because the
/// nonce is derived from the plaintext as in RFC 5297.
///
/// # Errors
/// The keys cannot be derived.
pub fn preference(installation_keys: &InstallationKeys, preference: &Preference) -> Result<String, Error> {
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
    let nonce: [u8; 24] = prf(installation_keys.links.expose_secret(), "preference-nonce", &plain)?;
    let sealed = cipher(installation_keys)?
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: context })
        .map_err(|_| Error::internal("sealing"))?;
    Ok(format!("{PREFERENCE_PREFIX}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
}

/// Opens a preference token, if it is one of ours.
pub fn open_preference(installation_keys: &InstallationKeys, token: &str) -> Option<Preference> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFERENCE_PREFIX)?).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(24)?;
    let cipher = cipher(installation_keys).ok()?;
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

fn cipher(installation_keys: &InstallationKeys) -> Result<XChaCha20Poly1305, Error> {
    let key: [u8; 32] = prf(installation_keys.links.expose_secret(), "preference", b"")?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::public_pages::PublicPages;

    fn test_keys(seed: u8) -> InstallationKeys {
        InstallationKeys {
            links: [seed; 32].into(),
            suppression: [seed; 32].into(),
            signing: [seed; 32].into(),
            lookups: [seed; 32].into(),
        }
    }

    #[test]
    fn preference_links_read_back_under_their_key_alone() {
        for mailbox in [
            Mailbox::from_key(&test_keys(1), "anna@example.org").unwrap(),
            Mailbox::Digest(short_digest(&test_keys(1), "anna@example.org").unwrap()),
        ] {
            let meant = Preference { contact: Uuid::from_u128(7), purpose: "newsletter".to_owned(), mailbox };
            let token = preference(&test_keys(1), &meant).unwrap();
            assert_eq!(preference(&test_keys(1), &meant).unwrap(), token);
            assert_eq!(open_preference(&test_keys(1), &token), Some(meant.clone()));
            assert_eq!(open_preference(&test_keys(2), &token), None);
            assert!(meant.mailbox.is(&test_keys(1), "anna@example.org").unwrap());
            assert!(!meant.mailbox.is(&test_keys(1), "otto@example.org").unwrap());
            for at in 1..token.len() {
                let mut bent = token.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
                assert_ne!(
                    open_preference(&test_keys(1), std::str::from_utf8(&bent).unwrap()),
                    Some(meant.clone())
                );
            }
            assert!(!is_one_time_token(&token));
        }
    }

    /// The format of earlier versions, which did not name the mailbox: mails with such links are still in inboxes.
    #[test]
    fn a_link_of_before_opens() {
        let token = "p8VmLnXKSJBfMuUQ09uqZt1ZYNUMKmvLFnFckahnmU8-ePbDZOm-M_A1dW_N_yOJMez8qTi8IPYn8R3Zd4Zrj3zOq0Rn6NSRn2xg";
        let meant = Preference {
            contact: Uuid::from_u128(7),
            purpose: "newsletter".to_owned(),
            mailbox: Mailbox::Digest(short_digest(&test_keys(1), "anna@example.org").unwrap()),
        };
        assert_eq!(open_preference(&test_keys(1), token), Some(meant.clone()));
        assert_eq!(preference(&test_keys(1), &meant).unwrap(), token);
    }

    #[test]
    fn the_longest_preference_link_opens_and_fits_a_header_line_of_a_mail() {
        let purpose = "p".repeat(crate::policy::MAX_CODE_CHARS);
        let (longest, longer) = ("k".repeat(MAX_MAILBOX_KEY_BYTES), "k".repeat(MAX_MAILBOX_KEY_BYTES + 1));
        for key in [longest, longer] {
            let mailbox = Mailbox::from_key(&test_keys(1), &key).unwrap();
            assert_eq!(matches!(mailbox, Mailbox::Key(_)), key.len() == MAX_MAILBOX_KEY_BYTES);
            let meant = Preference { contact: Uuid::max(), purpose: purpose.clone(), mailbox };
            let token = preference(&test_keys(1), &meant).unwrap();
            assert_eq!(open_preference(&test_keys(1), &token), Some(meant));
            let base = format!(
                "https://{}",
                "h".repeat(crate::config::public_pages::MAX_URL_CHARS - "https://".len())
            );
            let pages = PublicPages { public_url: Some(base), ..PublicPages::default() };
            let line = format!("List-Unsubscribe: <{}>\r\n", pages.url(&token).unwrap());
            // RFC 5322, 2.1.1. Postfix breaks longer lines, which breaks the link.
            assert!(line.len() <= 998, "{}", line.len());
        }
    }

    #[test]
    fn mailed_links_can_be_made_again_and_tell_nothing() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let token = one_time_token(&test_keys(1), first).unwrap();
        assert_eq!(one_time_token(&test_keys(1), first).unwrap(), token);
        assert!(is_one_time_token(&token));
        assert_ne!(one_time_token(&test_keys(1), second).unwrap(), token);
        assert_ne!(one_time_token(&test_keys(2), first).unwrap(), token);
        assert_eq!(hash(&token).len(), 64);
        assert_eq!(open_preference(&test_keys(1), &token), None);
    }
}
