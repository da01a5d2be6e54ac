//! The policy that is measured under, written to a directory of its own (floor 6).

use std::{fs, io, path::Path};

/// The role that may read all that the standard queries ask for.
pub const ROLE: &str = "bench";
/// The role that may not read the company.
pub const DENIED: &str = "bench_denied";
/// The one purpose, on consent.
pub const PURPOSE: &str = "bench_campaign";

const FILES: [(&str, &str); 3] = [
    ("policy.csv", include_str!("policy/policy.csv")),
    ("purposes.toml", include_str!("policy/purposes.toml")),
    ("cases.yaml", include_str!("policy/cases.yaml")),
];

/// Writes the files of the policy into `directory`.
///
/// # Errors
/// From the file system.
pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    FILES.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Policy, Sources},
        register,
    };

    #[tokio::test]
    async fn the_policy_loads_and_its_cases_hold() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let sources = Sources::read(directory.path()).unwrap();
        let policy = Policy::load(&sources, &register::policy_objects()).await.unwrap();
        let cases = crate::policy::cases::read(&sources).unwrap();
        let failures = crate::policy::cases::run(&policy, &cases);
        assert_eq!((cases.len(), failures), (2, Vec::new()));
    }
}
