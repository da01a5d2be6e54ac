//! Keys of the installation, which outlive a rotation of the master key. Room: crypto.

/// Keys that must stay as they are while links, digests and signatures made with them are about. Each is random and lies
/// wrapped by the master key in the database.
#[derive(Clone)]
pub struct InstallationKeys {
    /// Makes the links of mails and preference pages.
    pub links: [u8; 32],
    /// Makes the digests of the suppression list.
    pub suppression: [u8; 32],
    /// Seed of the key that receipts are signed with (Ed25519, RFC 8032).
    pub signing: [u8; 32],
    /// Makes digests by which something is found again, such as outcomes kept for retries.
    pub lookups: [u8; 32],
}

impl std::fmt::Debug for InstallationKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InstallationKeys(***)")
    }
}
