//! Settings under the names that they had in the version before: they work until the next one. Room: config.

/// The old and the new key of a setting.
pub(super) type Renamed = (&'static str, &'static str);

/// Every setting that was renamed.
const RENAMED: [Renamed; 3] = [
    ("limits.head_seconds", "limits.header_seconds"),
    ("limits.operations", "limits.concurrent_operations"),
    ("pages.fresh_minutes", "pages.magic_link_minutes"),
];

/// The key that a setting has now, if `key` is its old one.
pub(super) fn current(key: &str) -> Option<&'static str> {
    RENAMED.iter().find_map(|(old, new)| (*old == key).then_some(*new))
}

/// What an operator is told about an old key.
pub(super) fn warning(old: &str) -> Option<String> {
    let new = current(old)?;
    Some(format!("`{old}` is now called `{new}`; the old name works until the next version"))
}

/// Moves values of a file from old keys to new ones, and returns those that were moved.
///
/// # Errors
/// The keys of which the file sets both.
pub(super) fn rename_in_file(values: &mut toml::Table) -> Result<Vec<Renamed>, Vec<String>> {
    let (mut used, mut errors) = (Vec::new(), Vec::new());
    for (old, new) in RENAMED {
        let (Some((section, old_name)), Some((_, new_name))) = (old.split_once('.'), new.split_once('.'))
        else {
            continue;
        };
        let Some(settings) = values.get_mut(section).and_then(toml::Value::as_table_mut) else { continue };
        let Some(value) = settings.remove(old_name) else { continue };
        if settings.contains_key(new_name) {
            errors.push(both(old, new));
            continue;
        }
        settings.insert(new_name.to_owned(), value);
        used.push((old, new));
    }
    if errors.is_empty() { Ok(used) } else { Err(errors) }
}

/// Moves variables of the environment from old keys to new ones, and returns those that were moved.
///
/// # Errors
/// The keys of which the environment sets both.
pub(super) fn rename_in_environment(
    environment: &mut [(String, String)],
) -> Result<Vec<Renamed>, Vec<String>> {
    let (mut used, mut errors) = (Vec::new(), Vec::new());
    for (old, new) in RENAMED {
        let has_new = environment.iter().any(|(key, _)| key == new);
        for (key, _) in environment.iter_mut().filter(|(key, _)| key == old) {
            if has_new {
                errors.push(both(old, new));
            } else {
                new.clone_into(key);
                used.push((old, new));
            }
        }
    }
    if errors.is_empty() { Ok(used) } else { Err(errors) }
}

fn both(old: &str, new: &str) -> String {
    format!("`{old}` is the old name of `{new}`, and both are set; remove `{old}`")
}
