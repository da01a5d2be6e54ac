//! Words for yes and no as files write them, German and English. Room: exchange/imports.

use entity::enums::Channel;

use super::{
    header_names::{is_consent_header, is_opt_out_header, normalize},
    times::is_time,
};

/// What the word of a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Yes,
    /// The person ended what was; or said no when asked.
    No {
        refused: bool,
    },
    /// Nothing that anybody declared.
    Undeliverable,
    Unknown,
}

/// Unambiguous words only.
const YES: &[&str] = &[
    "granted",
    "consented",
    "subscribed",
    "optin",
    "optedin",
    "confirmed",
    "erteilt",
    "eingewilligt",
    "zugestimmt",
    "angemeldet",
    "bestatigt",
];
const NO: &[&str] = &[
    "withdrawn",
    "withdrew",
    "withdraw",
    "withdrawal",
    "unsubscribed",
    "unsubscribe",
    "optout",
    "optedout",
    "revoked",
    "revoke",
    "cleaned",
    "blocklisted",
    "blacklisted",
    "suppressed",
    "blocked",
    "complained",
    "complaint",
    "spam",
    "spamcomplaint",
    "objected",
    "objection",
    "optoutrequested",
    "donotcontact",
    "abgemeldet",
    "abmeldung",
    "abbestellt",
    "widerrufen",
    "widerruf",
    "widersprochen",
    "widerspruch",
    "ausgetragen",
    "gesperrt",
    "sperre",
    "geblockt",
    "blockiert",
    "entzogen",
    "zuruckgezogen",
];
const REFUSED: &[&str] = &[
    "refused",
    "declined",
    "rejected",
    "denied",
    "notgranted",
    "abgelehnt",
    "verweigert",
    "nichterteilt",
    "zuruckgewiesen",
];
const UNDELIVERABLE: &[&str] =
    &["bounced", "bounce", "hardbounce", "hardbounced", "undeliverable", "unzustellbar", "nichtzustellbar"];
/// Words that mean yes or no only as answers to the question in a header.
const TRUE: &[&str] = &["true", "yes", "1", "ja", "wahr"];
const FALSE: &[&str] = &["false", "no", "0", "nein", "falsch"];

/// What the cell of a status says.
pub(super) fn status(cell: &str) -> Word {
    let word = normalize(cell);
    let is = |words: &[&str]| words.contains(&word.as_str());
    match () {
        () if is(YES) || is(TRUE) => Word::Yes,
        () if is(NO) || is(FALSE) => Word::No { refused: false },
        () if is(REFUSED) => Word::No { refused: true },
        () if is(UNDELIVERABLE) => Word::Undeliverable,
        () => Word::Unknown,
    }
}

/// Whether a cell contains a word that is specific to a status.
pub(super) fn is_status_word(cell: &str) -> bool {
    let word = normalize(cell);
    [YES, NO, REFUSED, UNDELIVERABLE].iter().any(|words| words.contains(&word.as_str()))
}

/// Whether a non-empty cell of an opt-out column opts out. Anything that is not clearly "no" does: a date, a tick, a
/// reason.
pub(super) fn opts_out(cell: &str) -> bool {
    let word = normalize(cell);
    // A time of zeros, or a hyphen, means none.
    let none = word.chars().all(|c| c == '0');
    !none
        && !FALSE.contains(&word.as_str())
        && !matches!(
            word.as_str(),
            "n" | "off" | "aus" | "null" | "none" | "subscribed" | "optin" | "optedin"
        )
}

/// Words for no and yes beside those of a status.
const OFF: &[&str] = &["n", "off", "aus", "never", "nie", "disabled", "deaktiviert", "inactive", "inaktiv"];
const ON: &[&str] =
    &["y", "j", "x", "on", "an", "ok", "active", "aktiv", "enabled", "aktiviert", "allow", "allowed"];

/// Prefixes of negations of more than one word.
const NEGATED: &[&str] =
    &["nicht", "kein", "notsub", "notopt", "notgr", "notcon", "notall", "notacc", "notagr", "notwant"];

/// Whether a cell of a consent column says "no".
pub(super) fn says_no(cell: &str) -> bool {
    let word = normalize(cell);
    matches!(status(cell), Word::No { .. })
        || OFF.contains(&word.as_str())
        || NEGATED.iter().any(|part| word.starts_with(part))
        || is_opt_out_header(&word)
}

/// Whether a cell of a column that is mapped as one of opt-outs, and asks for a yes by its head, opts out: what is not
/// surely a yes does.
pub(super) fn lacks_yes(cell: &str) -> bool {
    let word = normalize(cell);
    // A tick is none of the letters.
    let yes = word.is_empty()
        || status(cell) == Word::Yes
        || ON.contains(&word.as_str())
        || (is_time(cell) && word.chars().any(|c| c != '0'));
    says_no(cell) || !yes
}

/// Whether a cell of an unmapped column contains an opt-out. Zero counts only if the header asks a question.
pub(super) fn says_no_under(header_name: &str, cell: &str) -> bool {
    if cell.is_empty() {
        return false;
    }
    match () {
        () if is_opt_out_header(header_name) => opts_out(cell),
        () if is_consent_header(header_name) => says_no(cell),
        () => {
            let word = normalize(cell);
            FALSE.contains(&word.as_str()) && word != "0"
        }
    }
}

/// The channel that a word means. `mail` is one by the usage of newsletters.
pub(super) fn channel(cell: &str) -> Option<Channel> {
    match normalize(cell).as_str() {
        "email" | "mail" | "emails" | "emailmarketing" | "emailadresse" | "elektronischepost"
        | "newsletter" => Some(Channel::Email),
        "phone" | "telephone" | "tel" | "telefon" | "telefonisch" | "call" | "calls" | "anruf" | "anrufe"
        | "telefonanruf" => Some(Channel::Phone),
        "sms" | "textmessage" | "textmessages" | "smsmarketing" | "kurznachricht" => Some(Channel::Sms),
        "post" | "postal" | "postalmail" | "letter" | "letters" | "brief" | "briefe" | "briefpost"
        | "postalisch" | "directmail" => Some(Channel::Post),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_however_they_are_written() {
        for yes in ["GRANTED", "granted", "Opted in", "opt-in", "ja", "TRUE", "Bestätigt", "1"] {
            assert_eq!(status(yes), Word::Yes, "{yes}");
        }
        for no in [
            "WITHDRAWN",
            "unsubscribed",
            "Unsubscribe",
            "Opt-out",
            "opted_out",
            "opted out",
            "revoked",
            "cleaned",
            "BLOCKLISTED",
            "blacklisted",
            "suppressed",
            "complained",
            "abgemeldet",
            "Widerruf",
            "widerrufen",
            "ausgetragen",
            "gesperrt",
            "nein",
            "No",
            "FALSE",
            "0",
        ] {
            assert_eq!(status(no), Word::No { refused: false }, "{no}");
        }
        for no in ["REFUSED", "declined", "abgelehnt"] {
            assert_eq!(status(no), Word::No { refused: true }, "{no}");
        }
        assert_eq!(status("bounced"), Word::Undeliverable);
        for unknown in ["maybe", "pending", "aktiv", "y", "x", "2", "not granted yet", "-"] {
            assert_eq!(status(unknown), Word::Unknown, "{unknown}");
        }
    }

    #[test]
    fn whatever_is_not_surely_otherwise_opts_out() {
        for out in ["true", "1", "ja", "x", "2026-11-01", "unsubscribed", "too many mails", "y"] {
            assert!(opts_out(out), "{out}");
        }
        for not in ["false", "FALSE", "0", "nein", "No", "-", "0000-00-00 00:00:00", "n", "falsch"] {
            assert!(!opts_out(not), "{not}");
        }
    }

    #[test]
    fn a_column_that_asks_for_a_yes_is_read_the_other_way_round() {
        for no in [
            "no",
            "0",
            "N",
            "nein",
            "withdrawn",
            "widerrufen am 1.2.2026",
            "not subscribed",
            "Unsubscribed (global)",
        ] {
            assert!(says_no(no) && lacks_yes(no), "{no}");
        }
        for yes in ["yes", "1", "J", "x", "subscribed", "2026-01-01", "\u{2713}"] {
            assert!(!says_no(yes) && !lacks_yes(yes), "{yes}");
        }
        // An unknown word does not stop an import, and is not a yes.
        assert!(!says_no("pending") && lacks_yes("pending"));
        for (header_name, cell, no) in [
            ("DNC", "x", true),
            ("DNC", "0", false),
            ("Newsletter", "nein", true),
            ("Mail erlaubt", "0", true),
            ("Info", "no", true),
            ("Orders", "0", false),
            ("Newsletter", "", false),
        ] {
            assert_eq!(says_no_under(header_name, cell), no, "{header_name} {cell}");
        }
    }

    #[test]
    fn channels_are_read_however_they_are_called() {
        for (word, expected) in [
            ("EMAIL", Some(Channel::Email)),
            ("E-Mail", Some(Channel::Email)),
            ("mail", Some(Channel::Email)),
            ("Telefon", Some(Channel::Phone)),
            ("Brief", Some(Channel::Post)),
            ("SMS", Some(Channel::Sms)),
            ("FAX", None),
            ("", None),
        ] {
            assert_eq!(channel(word), expected, "{word}");
        }
    }
}
