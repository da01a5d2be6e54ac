//! Names in messages: the unknown name, if it may be repeated, and the names that were expected. Room: base.

/// Maximum number of names listed in a message.
const MAX_LISTED_NAMES: usize = 30;
/// Longest name, in bytes, that is compared; comparing longer ones would take too long.
const MAX_NAME_BYTES: usize = 128;
/// Minimum similarity for suggesting a name.
const MIN_SIMILARITY: f64 = 0.85;

/// Formats `names` as a list for a message.
pub fn format_list<S: AsRef<str>>(names: &[S]) -> String {
    let mut format_list: Vec<String> =
        names.iter().take(MAX_LISTED_NAMES).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > MAX_LISTED_NAMES {
        format_list.push("others".to_owned());
    }
    format_list.join(", ")
}

/// The message for an unknown `kind` called `name`, with the closest of the `candidates` names or all of them. A name
/// that resembles none of them may be a value in the wrong place, so it is not repeated.
pub fn unknown<S: AsRef<str>>(kind: &str, name: &str, candidates: &[S]) -> String {
    match closest(name, candidates) {
        Some(suggestion) if is_code(name) => {
            format!("there is no {kind} `{name}`; did you mean `{suggestion}`?")
        }
        Some(suggestion) => format!("there is no such {kind}; did you mean `{suggestion}`?"),
        None if candidates.is_empty() => format!("there is no such {kind}"),
        None => format!("there is no such {kind}; expected one of {}", format_list(candidates)),
    }
}

/// The name in `candidates` most similar to `name`, if any is similar enough.
pub fn closest<'k, S: AsRef<str>>(name: &str, candidates: &'k [S]) -> Option<&'k str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let name = name.to_lowercase();
    let scored = candidates.iter().map(|candidate| {
        let candidate = candidate.as_ref();
        (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate)
    });
    let best = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= MIN_SIMILARITY).then_some(best.1)
}

/// Whether `name` has the form of a role or purpose code.
fn is_code(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["newsletter", "direct_marketing", "accounting"];

    #[test]
    fn what_was_meant_is_told_and_what_there_is() {
        assert_eq!(
            unknown("purpose", "newsleter", &KNOWN),
            "there is no purpose `newsleter`; did you mean `newsletter`?"
        );
        assert_eq!(
            unknown("purpose", "hunting", &KNOWN),
            "there is no such purpose; expected one of `newsletter`, `direct_marketing`, `accounting`"
        );
        assert_eq!(unknown::<&str>("purpose", "hunting", &[]), "there is no such purpose");
    }

    #[test]
    fn what_is_like_no_name_is_not_told_back() {
        for value in
            ["hunting", "Grossler", "anna@example.org", "+49 170 1", "two words", "", "ä", "1984-02-29"]
        {
            let message = unknown("purpose", value, &KNOWN);
            assert!(message.starts_with("there is no such purpose;"), "{message}");
            assert!(value.is_empty() || !message.contains(value), "{message}");
        }
        for value in ["Newsletter", "newsletter@example.org", "newsletter "] {
            assert_eq!(
                unknown("purpose", value, &KNOWN),
                "there is no such purpose; did you mean `newsletter`?"
            );
        }
    }

    #[test]
    fn what_is_too_long_for_a_name_is_compared_with_none() {
        let long = format!("newsletter{}", "r".repeat(118));
        assert_eq!(closest(&long, &[&long]), Some(long.as_str()));
        let longer = format!("{long}r");
        assert_eq!(closest(&longer, &[&longer]), None);
    }

    #[test]
    fn long_lists_end() {
        let many: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
        assert!(format_list(&many).ends_with("`n29`, others"));
    }
}
