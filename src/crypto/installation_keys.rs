//! Keys of the installation, which survive a rotation of the master key. Room: crypto.

/// Keys that must not change while links, digests and signatures made with them are in use. Each is random and stored
/// in the database, wrapped by the master key.
#[derive(Clone)]
pub struct InstallationKeys {
    /// Derives the tokens of mailed links and preference pages.
    pub links: [u8; 32],
    /// Derives the digests of the suppression list.
    pub suppression: [u8; 32],
    /// Seed of the key that signs receipts (Ed25519, RFC 8032).
    pub signing: [u8; 32],
    /// Derives lookup digests, such as those of results stored for retries.
    pub lookups: [u8; 32],
}

impl std::fmt::Debug for InstallationKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InstallationKeys(***)")
    }
}
