//! Secrets in files of their own. Room: config.

use std::path::Path;

use super::{settings::Secrets, values::key_of};
use crate::base::secret::SecretKey;

impl Secrets {
    /// Reads the master keys from their files, if configured, and returns the keys of the settings that were read and
    /// the errors.
    pub(super) fn read_files(&mut self) -> (Vec<&'static str>, Vec<String>) {
        let Self { master_key, master_key_file, previous_master_key, previous_master_key_file, .. } = self;
        let read = [
            ("secrets.master_key", from_file("master_key", master_key, master_key_file.as_deref())),
            (
                "secrets.previous_master_key",
                from_file("previous_master_key", previous_master_key, previous_master_key_file.as_deref()),
            ),
        ];
        let (mut keys, mut errors) = (Vec::new(), Vec::new());
        for (key, read) in read {
            match read {
                Ok(true) => keys.push(key),
                Ok(false) => {}
                Err(error) => errors.push(error),
            }
        }
        (keys, errors)
    }
}

/// Reads a key from `file`, if there is one, and returns whether it did.
fn from_file(name: &str, key: &mut Option<SecretKey>, file: Option<&Path>) -> Result<bool, String> {
    let Some(file) = file else { return Ok(false) };
    if key.is_some() {
        return Err(format!("`secrets.{name}` and `secrets.{name}_file` are both set"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|_| format!("the file of `secrets.{name}_file` cannot be read"))?;
    let read = key_of(text.trim());
    *key = Some(
        read.ok_or_else(|| format!("the file of `secrets.{name}_file` must hold 64 hexadecimal digits"))?,
    );
    Ok(true)
}
