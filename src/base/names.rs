//! Names in messages: the one that was given, where it can be told, and what was expected instead. Room: base.

/// Names that are listed at most.
const MAX_LISTED_NAMES: usize = 30;
/// Bytes of the longest name that is compared: what is longer is none, and comparing it takes its time.
const MAX_NAME_BYTES: usize = 128;
/// How alike two names are of which one was meant.
const MIN_SIMILARITY: f64 = 0.85;

/// `names` as a list in a message.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut listed: Vec<String> =
        names.iter().take(MAX_LISTED_NAMES).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > MAX_LISTED_NAMES {
        listed.push("others".to_owned());
    }
    listed.join(", ")
}

/// That no `kind` is called `given`, and which of the `known` was meant, or which there are. What is like none of them may be a value
/// that somebody has put in the wrong place, and is not told back.
pub fn unknown<S: AsRef<str>>(kind: &str, given: &str, known: &[S]) -> String {
    match closest(given, known) {
        Some(meant) if is_code(given) => format!("there is no {kind} `{given}`; did you mean `{meant}`?"),
        Some(meant) => format!("there is no such {kind}; did you mean `{meant}`?"),
        None if known.is_empty() => format!("there is no such {kind}"),
        None => format!("there is no such {kind}; expected one of {}", listed(known)),
    }
}

/// The one of `known` that is most like `given`, where one is alike.
pub fn closest<'k, S: AsRef<str>>(given: &str, known: &'k [S]) -> Option<&'k str> {
    if given.len() > MAX_NAME_BYTES {
        return None;
    }
    let given = given.to_lowercase();
    let like = known.iter().map(|known| {
        let known = known.as_ref();
        (strsim::jaro_winkler(&given, &known.to_lowercase()), known)
    });
    let best = like.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= MIN_SIMILARITY).then_some(best.1)
}

/// Whether `name` is written as roles and purposes are.
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
        assert!(listed(&many).ends_with("`n29`, others"));
    }
}
