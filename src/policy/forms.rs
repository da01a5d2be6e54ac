//! Sign-up forms and the requirements of text versions, as declared in `purposes.toml`. Room: policy.

use super::{
    declared::{Channel, ConsentText, Declared, FormDef, Grounds, TextRequirement},
    error::Diagnostics,
};
use crate::base::i18n::LANGUAGES;
use crate::policy::toml_reader::{Entry, period};

/// The proof of a consent that the person confirmed through a link mailed to the address.
pub const DOUBLE_OPT_IN: &str = "double_opt_in";

/// Name fields that a form may include in addition to the e-mail address.
const NAMES: [&str; 2] = ["givenName", "familyName"];

pub(super) fn form(mut entry: Entry<'_, '_>, diagnostics: &mut Diagnostics) -> FormDef {
    let form = FormDef {
        line: entry.line_of("code"),
        code: entry.code("code", diagnostics),
        title_de: entry.required("title_de", diagnostics),
        title_en: entry.required("title_en", diagnostics),
        purposes: entry.list("purposes", diagnostics),
        fields: entry.list("fields", diagnostics),
        notice_version: entry.optional("notice_version", diagnostics),
        notice_url: entry.optional("notice_url", diagnostics),
    };
    let unknown = form.fields.iter().find(|field| !NAMES.contains(&field.as_str()));
    if let Some(field) = unknown {
        let message = format!("unknown field `{field}`; expected {}", NAMES.join(", "));
        diagnostics.add(entry.line_of("fields"), "UNKNOWN_FIELD", message);
    }
    if form.notice_url.as_deref().is_some_and(|url| !url.starts_with("https://")) {
        diagnostics.add(entry.line_of("notice_url"), "BAD_IRI", "`notice_url` must begin with https://");
    }
    entry.finish(diagnostics);
    form
}

pub(super) fn requirement(mut entry: Entry<'_, '_>, diagnostics: &mut Diagnostics) -> TextRequirement {
    let requirement = TextRequirement {
        line: entry.line_of("version"),
        purpose: entry.required("purpose", diagnostics),
        version: entry.required("version", diagnostics),
        renew_within: period(&mut entry, "renew_within", diagnostics),
    };
    entry.finish(diagnostics);
    requirement
}

/// Applies the requirements of its version to each text.
pub(super) fn apply(declared: &Declared, texts: &mut [ConsentText], diagnostics: &mut Diagnostics) {
    for requirement in &declared.requirements {
        let of_version = |text: &&mut ConsentText| {
            text.purpose == requirement.purpose && text.version == requirement.version
        };
        let mut found = false;
        for text in texts.iter_mut().filter(of_version) {
            text.renew_within.clone_from(&requirement.renew_within);
            found = true;
        }
        if !found {
            let message = format!("there is no text `{}` of `{}`", requirement.version, requirement.purpose);
            diagnostics.add(requirement.line, "UNKNOWN_TEXT", message);
        }
    }
}

/// Checks each form once purposes and texts are known: every purpose can be confirmed by mail and has a text in every
/// language of the pages.
pub(super) fn check(declared: &Declared, texts: &[ConsentText], diagnostics: &mut Diagnostics) {
    for form in &declared.forms {
        if form.purposes.is_empty() {
            diagnostics.add(form.line, "MISSING_KEY", "a form must have at least one purpose");
        }
        for code in &form.purposes {
            let Some(purpose) = declared.purposes.iter().find(|purpose| purpose.code == *code) else {
                diagnostics.add(form.line, "UNKNOWN_PURPOSE", format!("unknown purpose `{code}`"));
                continue;
            };
            let by_mail = purpose.grounds == Grounds::Consent
                && purpose.channels.contains(&Channel::Email)
                && purpose.proof.iter().any(|proof| proof == DOUBLE_OPT_IN);
            if !by_mail {
                let message = format!(
                    "purpose `{code}` cannot be consented to by a form: it needs the legal basis CONSENT, the channel EMAIL \
                     and the proof {DOUBLE_OPT_IN}"
                );
                diagnostics.add(form.line, "FORM_WITHOUT_PROOF", message);
            }
            for language in LANGUAGES {
                if !texts.iter().any(|text| text.purpose == *code && text.language == language) {
                    let message = format!("purpose `{code}` has no text in `{language}`");
                    diagnostics.add(form.line, "FORM_WITHOUT_TEXT", message);
                }
            }
        }
    }
}

/// Sort key for versions in natural order: numbers compare by value, so `2026-2` comes before `2026-10`.
pub(super) fn natural_key(version: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = Vec::new();
    let mut digits = String::new();
    for c in version.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            // Numbers that overflow sort after all others.
            parts.push((digits.parse().unwrap_or(u64::MAX), String::new()));
            digits.clear();
        }
        if c != '\0' {
            parts.push((0, c.to_string()));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::natural_key;

    #[test]
    fn versions_are_ordered_as_people_count() {
        let mut versions = ["2026-10", "2025-12", "2026-2", "2026-1", "2026"];
        versions.sort_by_key(|version| natural_key(version));
        assert_eq!(versions, ["2025-12", "2026", "2026-1", "2026-2", "2026-10"]);
    }
}
