//! Settings under the names that they had in the version before: they work until the next one. Room: config.

/// The old and the new key of a setting.
pub(super) type Renamed = (&'static str, &'static str);

/// Every setting that was renamed.
const RENAMED: [Renamed; 3] = [
    ("limits.head_seconds", "limits.header_seconds"),
    ("limits.operations", "limits.concurrent_operations"),
    ("pages.fresh_minutes", "pages.magic_link_minutes"),
];

/// The warning to an operator who uses an old key.
pub(super) fn warning((old, new): Renamed) -> String {
    format!("`{old}` is now called `{new}`; the old name works until the next version")
}

/// What became of old keys in one source.
#[derive(Default)]
pub(super) struct Renames {
    /// Those whose values were moved to the new keys.
    pub(super) used: Vec<Renamed>,
    /// The errors about those that are set beside the new keys. The values of the new keys are used.
    pub(super) clashes: Vec<String>,
}

impl Renames {
    fn add(&mut self, (old, new): Renamed, has_both: bool) {
        if has_both {
            self.clashes
                .push(format!("`{old}` is the old name of `{new}`, and both are set; remove `{old}`"));
        } else {
            self.used.push((old, new));
        }
    }
}

/// Moves values of a file from old keys to new ones.
pub(super) fn rename_in_file(values: &mut toml::Table) -> Renames {
    let mut renames = Renames::default();
    for (old, new) in RENAMED {
        let (Some((section, old_name)), Some((_, new_name))) = (old.split_once('.'), new.split_once('.'))
        else {
            continue;
        };
        let Some(settings) = values.get_mut(section).and_then(toml::Value::as_table_mut) else { continue };
        let Some(value) = settings.remove(old_name) else { continue };
        let has_both = settings.contains_key(new_name);
        renames.add((old, new), has_both);
        if !has_both {
            settings.insert(new_name.to_owned(), value);
        }
    }
    renames
}

/// Moves variables of the environment from old keys to new ones.
pub(super) fn rename_in_environment(environment: &mut Vec<(String, String)>) -> Renames {
    let mut renames = Renames::default();
    for (old, new) in RENAMED {
        let Some(at) = environment.iter().position(|(key, _)| key == old) else { continue };
        let has_both = environment.iter().any(|(key, _)| key == new);
        renames.add((old, new), has_both);
        let (_, value) = environment.remove(at);
        if !has_both {
            environment.push((new.to_owned(), value));
        }
    }
    renames
}
