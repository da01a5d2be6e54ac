//! The token as text: `zwk_<id>_<secret><checksum>`. Room: domain/access_tokens.

use std::fmt;

use rand::{Rng, distr::Alphanumeric};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::secret::{ExposeSecret, SecretString};

const PREFIX: &str = "zwk_";
const ID_CHARS: usize = 16;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const TOKEN_CHARS: usize = PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token as its owner presents it. Debug shows nothing of it, and it is never serialised.
#[derive(Clone)]
pub struct BearerToken(SecretString);

impl BearerToken {
    /// A new token: 43 characters of base62 hold 256 random bits of the operating system.
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        let mut text = String::with_capacity(TOKEN_CHARS);
        text.push_str(PREFIX);
        text.extend((&mut rng).sample_iter(Alphanumeric).take(ID_CHARS).map(char::from));
        text.push('_');
        text.extend((&mut rng).sample_iter(Alphanumeric).take(SECRET_CHARS).map(char::from));
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text.into())
    }

    /// Whether it has the prefix of these tokens, and is not another kind of credential.
    pub fn is_access_token(presented: &str) -> bool {
        presented.starts_with(PREFIX)
    }

    /// Parses a presented token. Format and checksum are checked here, so that typing errors never reach the
    /// database.
    pub fn parse(presented: &str) -> Option<Self> {
        if presented.len() != TOKEN_CHARS || !presented.is_ascii() {
            return None;
        }
        let (body, stated) = presented.split_at_checked(TOKEN_CHARS - CHECKSUM_CHARS)?;
        let (id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
        let base62 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let has_format = id.len() == ID_CHARS && secret.len() == SECRET_CHARS && base62(id) && base62(secret);
        let has_checksum = bool::from(checksum(body).as_bytes().ct_eq(stated.as_bytes()));
        (has_format && has_checksum).then(|| Self(presented.into()))
    }

    /// The token as text, to be shown to its owner once.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// The public part, by which the row is looked up.
    pub fn lookup(&self) -> &str {
        self.expose_secret().get(PREFIX.len()..PREFIX.len() + ID_CHARS).unwrap_or_default()
    }

    /// SHA-256 of the secret in hexadecimal; only this is stored. A plain hash suffices, because the secret is
    /// random and not chosen by a person.
    pub fn secret_hash(&self) -> String {
        let start = PREFIX.len() + ID_CHARS + 1;
        hex::encode(Sha256::digest(self.expose_secret().get(start..start + SECRET_CHARS).unwrap_or_default()))
    }

    /// Whether the secret has this hash, in constant time.
    pub fn matches(&self, secret_hash: &str) -> bool {
        self.secret_hash().as_bytes().ct_eq(secret_hash.as_bytes()).into()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(***)")
    }
}

/// CRC-32 of `body` as six base62 characters.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or_default();
        *digit = BASE62.get(index).copied().map_or('0', char::from);
        rest /= 62;
    }
    digits.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_reads_back() {
        let token = BearerToken::generate();
        let parsed = BearerToken::parse(token.expose_secret()).unwrap();
        assert_eq!(token.expose_secret().len(), 70);
        assert_eq!(parsed.lookup(), token.lookup());
        assert!(parsed.matches(&token.secret_hash()));
        assert!(!parsed.matches(&BearerToken::generate().secret_hash()));
        assert_eq!(token.secret_hash().len(), 64);
    }

    #[test]
    fn every_single_typing_error_is_caught() {
        let token = BearerToken::generate();
        for at in 0..token.expose_secret().len() {
            let mut bytes = token.expose_secret().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            assert!(BearerToken::parse(std::str::from_utf8(&bytes).unwrap()).is_none(), "at {at}");
        }
        assert!(BearerToken::parse("").is_none());
        assert!(BearerToken::parse(&"ä".repeat(35)).is_none());
        assert!(BearerToken::parse(&format!("{} ", token.expose_secret())).is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", BearerToken::generate()), "BearerToken(***)");
    }
}
