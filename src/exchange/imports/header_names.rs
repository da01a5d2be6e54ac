//! Column headers: normalisation, and detection of headers that look like a field. Room: exchange/imports.

use strsim::osa_distance;

use crate::base::fold::fold;

/// Normalises a header: ignores case, accents, spaces, hyphens, underscores and punctuation.
pub(super) fn normalize(header_name: &str) -> String {
    fold(header_name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Other names of fields, normalised.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("contactId", &["contact", "kontakt", "kontaktid", "zweckid"]),
    ("email", &["mail", "emailaddress", "emailadresse", "mailaddress", "mailadresse", "emailaddr"]),
    (
        "phone",
        &[
            "telephone",
            "tel",
            "telefon",
            "telefonnummer",
            "phonenumber",
            "mobile",
            "mobil",
            "handy",
            "rufnummer",
        ],
    ),
    ("externalId", &["external", "extid", "externeid", "fremdid"]),
    ("purpose", &["zweck", "verwendungszweck", "purposecode"]),
    ("channel", &["kanal", "medium", "weg"]),
    (
        "status",
        &[
            "state",
            "stand",
            "zustand",
            "active",
            "aktiv",
            "inactive",
            "inaktiv",
            "anmeldestatus",
            "memberstatus",
        ],
    ),
    ("declaredAt", &["declared", "date", "datum", "declarationdate", "erklartam", "anmeldedatum"]),
    (
        "confirmedAt",
        &["confirmed", "confirmtime", "confirmdate", "confirmationdate", "bestatigt", "bestatigtam"],
    ),
    ("textVersion", &["version", "text", "consenttext", "textfassung", "fassung"]),
    ("language", &["sprache", "lang", "locale"]),
    ("proof", &["nachweis", "prooftype", "nachweisart"]),
    ("source", &["quelle", "herkunft", "origin"]),
    ("evidence", &["beleg", "evidenz", "belegnummer"]),
    ("address", &["adresse", "anschrift"]),
    ("street", &["strasse", "strassenr", "strasseundhausnummer", "strassehausnummer", "addressline1"]),
    ("postalCode", &["plz", "postleitzahl", "zip", "zipcode", "postcode"]),
    ("city", &["ort", "stadt", "wohnort", "town"]),
    ("country", &["land", "countrycode"]),
    ("familyName", &["nachname", "name", "familienname", "surname", "lastname"]),
    ("expiresAt", &["until", "bis", "end", "ende", "enddate", "endsat", "endet", "endetam"]),
];

/// Parts of words that identify a field.
const PARTS: &[(&str, &[&str])] = &[
    ("expiresAt", &["expir", "ablauf", "lauftab", "gultigbis", "validuntil", "validto", "validthrough"]),
    (
        "status",
        &[
            "status",
            "optin",
            "optedin",
            "optout",
            "optedout",
            "subscri",
            "unsub",
            "consent",
            "einwillig",
            "widerr",
            "widerspr",
            "withdr",
            "revok",
            "abmeld",
            "abgemeldet",
            "abbestell",
            "ausgetragen",
            "blacklist",
            "blocklist",
            "suppress",
            "sperr",
        ],
    ),
];

/// The field of `fields` that a column with this header looks like.
pub(super) fn looks_like(header_name: &str, fields: &[&'static str]) -> Option<&'static str> {
    let header_name = normalize(header_name);
    let of = |table: &[(&str, &[&str])], fits: &dyn Fn(&str) -> bool| {
        let found =
            table.iter().find(|(field, words)| fields.contains(field) && words.iter().any(|word| fits(word)));
        found.and_then(|(name, _)| fields.iter().find(|field| *field == name).copied())
    };
    of(SYNONYMS, &|word| word == header_name)
        .or_else(|| fields.iter().find(|field| near(&header_name, &normalize(field))).copied())
        .or_else(|| of(PARTS, &|part| header_name.contains(part)))
}

/// Whether the names differ only by a typo.
fn near(header_name: &str, field: &str) -> bool {
    let slips = if field.chars().count() < 6 { 1 } else { 2 };
    osa_distance(header_name, field) <= slips
}

/// Parts of opt-out headers, as programs name them: such a column stops an import whatever it contains.
const OPT_OUTS: &[&str] = &[
    "optout",
    "optedout",
    "unsub",
    "donot",
    "dontcall",
    "dontmail",
    "blacklist",
    "blocklist",
    "suppress",
    "abgemeldet",
    "abmeld",
    "abbestell",
    "widerspr",
    "widerruf",
    "werbesperre",
    "keinewerbung",
    "keinemail",
    "sperrvermerk",
    "robinson",
    "nocall",
    "noemail",
    "nomarketing",
    "cleantime",
];

/// Parts of headers that usually are opt-outs: such a column counts if one of its cells says so.
const MOSTLY_OPT_OUTS: &[&str] = &[
    "sperr",
    "dnc",
    "kontaktverbot",
    "werbeverbot",
    "objection",
    "objected",
    "revok",
    "withdr",
    "dontcontact",
    "dontemail",
    "dontsend",
    "nocontact",
    "nomail",
    "nosms",
    "nophone",
    "nonewsletter",
];
/// What may follow `kein` in an opt-out header.
const UNWANTED: &[&str] =
    &["mail", "newsletter", "werb", "anruf", "telefon", "sms", "post", "brief", "kontakt", "market", "info"];

/// Whether a column with this header contains opt-outs of advertising.
pub(super) fn is_opt_out_header(header_name: &str) -> bool {
    let header_name = normalize(header_name);
    is_definite_opt_out_header(&header_name)
        || MOSTLY_OPT_OUTS.iter().any(|part| header_name.contains(part))
        || (header_name.starts_with("kein") && UNWANTED.iter().any(|part| header_name.contains(part)))
}

/// The same, whatever the column contains.
pub(super) fn is_definite_opt_out_header(header_name: &str) -> bool {
    let header_name = normalize(header_name);
    OPT_OUTS.iter().any(|part| header_name.contains(part))
}

/// Parts of headers of columns that contain consents or statuses.
const CONSENTS: &[&str] = &[
    "optin",
    "optedin",
    "subscri",
    "abonn",
    "consent",
    "accept",
    "agree",
    "allow",
    "permi",
    "newsletter",
    "marketing",
    "werbung",
    "einwillig",
    "zustimm",
    "erlaub",
    "status",
    "gdpr",
    "dsgvo",
];

/// Whether a column with this header contains consents, so that "no" in it is an opt-out.
pub(super) fn is_consent_header(header_name: &str) -> bool {
    let header_name = normalize(header_name);
    !is_opt_out_header(&header_name) && CONSENTS.iter().any(|part| header_name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] = ["email", "status", "expiresAt", "confirmedAt", "address"];

    #[test]
    fn heads_are_the_same_however_they_are_written() {
        for header_name in ["expires_at", "Expires At", "EXPIRES-AT", "\u{feff}expiresAt"] {
            assert_eq!(normalize(header_name), "expiresat", "{header_name}");
        }
    }

    #[test]
    fn what_looks_like_a_field_is_told() {
        for (header_name, field) in [
            ("State", "status"),
            ("Statuss", "status"),
            ("Einwilligung", "status"),
            ("Abmeldung am", "status"),
            ("Opt-in", "status"),
            ("Opt-Out", "status"),
            ("Ablauf", "expiresAt"),
            ("Gültig bis", "expiresAt"),
            ("valid until", "expiresAt"),
            ("expireAt", "expiresAt"),
            ("Expiry date", "expiresAt"),
            ("confirmdAt", "confirmedAt"),
            ("Adresse", "address"),
            ("Mail", "email"),
        ] {
            assert_eq!(looks_like(header_name, &FIELDS), Some(field), "{header_name}");
        }
        for header_name in ["First", "Was", "Shoe size", "Note", ""] {
            assert_eq!(looks_like(header_name, &FIELDS), None, "{header_name}");
        }
    }

    #[test]
    fn opt_outs_are_known_by_their_heads() {
        for header_name in [
            "Unsubscribed from all email",
            "HasOptedOutOfEmail",
            "DoNotCall",
            "Email Opt Out",
            "do_not_email",
            "BLACKLISTED",
            "_BLOCKLISTED",
            "Werbesperre",
        ] {
            assert!(is_opt_out_header(header_name), "{header_name}");
        }
        for header_name in [
            "Gesperrt",
            "Sperre",
            "Mailsperre",
            "Kein Newsletter",
            "keine E-Mails",
            "DNC",
            "Kontaktverbot",
            "Marketing consent withdrawn",
        ] {
            assert!(is_opt_out_header(header_name), "{header_name}");
        }
        for header_name in ["Email", "Newsletter", "Company", "Notes", "Donor", "Keine Ahnung", "Opt-in"] {
            assert!(!is_opt_out_header(header_name), "{header_name}");
        }
    }

    #[test]
    fn heads_that_ask_for_a_yes_are_known() {
        for header_name in [
            "Opt-in",
            "Subscribed",
            "Accepts Email Marketing",
            "Email Status",
            "Einwilligung",
            "GDPR",
            "Newsletter",
            "Mail erlaubt",
        ] {
            assert!(is_consent_header(header_name), "{header_name}");
        }
        for header_name in ["Unsubscribed", "Opt-out", "Email", "Company", "Notes", "Id"] {
            assert!(!is_consent_header(header_name), "{header_name}");
        }
    }
}
