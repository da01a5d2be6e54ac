//! How growth is measured. Room: bench/growth.

/// How it is measured.
#[derive(Clone, Debug)]
pub struct GrowthOptions {
    /// Contacts of the largest database.
    pub contacts: u64,
    /// Number of rounds; the median counts.
    pub rounds: u32,
    /// Milliseconds of one measure.
    pub millis: u64,
    /// Lines of the longest policy.
    pub lines: usize,
    /// Most roles, and as many purposes.
    pub roles: usize,
}
