//! Keys of the installation, which survive a rotation of the master key. Room: crypto.

use crate::base::secret::SecretKey;

/// Keys that must not change while links, digests and signatures made with them are in use. Each is random and stored
/// in the database, wrapped by the master key.
#[derive(Clone, Debug)]
pub struct InstallationKeys {
    /// Derives the tokens of mailed links and preference pages.
    pub links: SecretKey,
    /// Derives the digests of the suppression list.
    pub suppression: SecretKey,
    /// Seed of the key that signs receipts (Ed25519, RFC 8032).
    pub signing: SecretKey,
    /// Derives lookup digests, such as those of results stored for retries.
    pub lookups: SecretKey,
}
