//! `[recipients]`: those to whom data is disclosed. Room: config.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// `[recipients]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipients {
    /// Days for which a recipient may keep a copy of what it read; it is notified of objections and withdrawals for
    /// that long after its last read.
    pub keep_copy: u32,
}

impl Default for Recipients {
    fn default() -> Self {
        Self { keep_copy: 365 }
    }
}

impl Recipients {
    /// `keep_copy` as a duration.
    pub fn keep_copy(&self) -> TimeDelta {
        TimeDelta::days(self.keep_copy.into())
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=3650).contains(&self.keep_copy) {
            return Err("`recipients.keep_copy` must be between 1 and 3650 days".to_owned());
        }
        Ok(())
    }
}
