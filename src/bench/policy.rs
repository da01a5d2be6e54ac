//! The policy that is measured under, written to a directory of its own. Room: bench.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{policy::Sources, registry};

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

/// The same in memory.
pub fn sources() -> Sources {
    let [(_, rules), (_, purposes), (_, cases)] = FILES;
    Sources {
        directory: "bench".to_owned(),
        // Who counts needs a right of its own.
        policy: format!(
            "{rules}p, role:{ROLE}, purpose:{PURPOSE}, ContactConnection.totalCount, read, allow\n"
        ),
        purposes: purposes.to_owned(),
        cases: cases.to_owned(),
        texts: BTreeMap::new(),
        ..Sources::embedded()
    }
}

/// A policy that was filled up.
#[derive(Clone, Debug)]
pub struct Filled {
    /// Its files.
    pub sources: Sources,
    /// Roles that were added, and as many purposes.
    pub roles: usize,
    /// Pairs of a role and a purpose.
    pub pairs: usize,
    /// Rules.
    pub lines: usize,
}

/// A policy of `lines` rules (as many as there can be, where that is less) about `roles` roles and as many purposes, each rule
/// about one field and action. With one role all of them are about it and its one purpose, directly or by `anyone` and `any`, and
/// the bench's own are left out.
pub fn filled(roles: usize, lines: usize) -> Filled {
    let mut sources = sources();
    let alone = roles == 1;
    if alone {
        sources.policy.clear();
        sources.purposes.clear();
    }
    for number in 0..roles {
        sources.purposes.push_str(&format!(
            "\n[[role]]\ncode = \"r{number}\"\ntitle_de = \"Rolle\"\ntitle_en = \"Role\"\n\n[[purpose]]\ncode = \"p{number}\"\n\
             title_de = \"Zweck\"\ntitle_en = \"Purpose\"\ndescription_de = \"Ein Zweck.\"\n\
             description_en = \"A purpose.\"\nlegal_basis = \"CONTRACT\"\ngrounds = \"recorded\"\n\
             dpv = \"https://w3id.org/dpv#CustomerCare\"\n"
        ));
    }
    let mut count = sources.policy.lines().filter(|line| line.starts_with("p,")).count();
    let objects: Vec<String> = registry::policy_objects()
        .into_iter()
        .filter(|object| !object.derived_id && !object.groups.is_empty())
        .map(|object| object.name)
        .collect();
    let names = |kind: &str, any: &str| -> Vec<String> {
        let fixed = (0..roles).map(|number| format!("{}{number}", kind.chars().next().unwrap_or_default()));
        fixed.chain(alone.then(|| any.to_owned())).map(|name| format!("{kind}:{name}")).collect()
    };
    let pairs: Vec<(String, String)> = names("role", "anyone")
        .iter()
        .flat_map(|role| names("purpose", "any").into_iter().map(move |purpose| (role.clone(), purpose)))
        .collect();
    'full: for effect in ["allow", "deny"] {
        for action in ["read", "mask", "create", "update"] {
            for object in &objects {
                for (role, purpose) in &pairs {
                    if count >= lines {
                        break 'full;
                    }
                    count += 1;
                    sources.policy.push_str(&format!("p, {role}, {purpose}, {object}, {action}, {effect}\n"));
                }
            }
        }
    }
    let fixed = if alone { (0, 0) } else { (2, 1) };
    Filled { sources, roles, pairs: (roles + fixed.0) * (roles + fixed.1), lines: count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[tokio::test]
    async fn the_policy_loads_and_its_cases_hold() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let sources = Sources::read(directory.path()).unwrap();
        let policy = Policy::load(&sources, &registry::policy_objects()).await.unwrap();
        let cases = crate::policy::cases::read(&sources).unwrap();
        let failures = crate::policy::cases::run(&policy, &cases);
        assert_eq!((cases.len(), failures), (2, Vec::new()));
    }

    #[tokio::test]
    async fn policies_are_filled_up_to_what_is_asked_for() {
        for (roles, lines, pairs) in [(1, 400, 1), (8, 50, 90), (4, 500, 30)] {
            let filled = filled(roles, lines);
            assert_eq!((filled.lines, filled.pairs), (lines, pairs));
            let policy = Policy::load(&filled.sources, &registry::policy_objects()).await.unwrap();
            assert!(policy.bytes() > lines * 100);
        }
    }
}
