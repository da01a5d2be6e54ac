//! Roles and purposes as data: `purposes.toml`. Room: policy.

use std::sync::Arc;

use super::{
    declared::{Channel, Declared, Grounds, LegalBasis, PurposeDef, RoleDef},
    error::Diagnostics,
    forms,
};
use crate::policy::toml_reader::{self, Entry, period};

/// Names that every role and every purpose belong to; they cannot be declared.
pub(super) const ANY_ROLE: &str = "anyone";
/// See [`ANY_ROLE`].
pub(super) const ANY_PURPOSE: &str = "any";

pub(super) fn parse(text: &str, faults: &mut Diagnostics) -> Declared {
    let mut declared = Declared::default();
    let mut lines = Vec::new();
    toml_reader::read(text, &["role", "purpose", "form", "text"], faults, |kind, entry, faults| {
        let line = entry.line_of("code");
        if kind == "text" {
            declared.requirements.push(forms::requirement(entry, faults));
        } else if kind == "form" {
            let form = forms::form(entry, faults);
            if declared.forms.iter().any(|known| known.code == form.code) {
                faults.add(line, "DUPLICATE_CODE", format!("form `{}` is declared twice", form.code));
            } else {
                declared.forms.push(form);
            }
        } else if kind == "role" {
            let role = role(entry, faults);
            if role.code == ANY_ROLE {
                faults.add(line, "RESERVED", format!("`{ANY_ROLE}` is every role and cannot be declared"));
            } else if declared.roles.iter().any(|known| known.code == role.code) {
                faults.add(line, "DUPLICATE_CODE", format!("role `{}` is declared twice", role.code));
            } else {
                declared.roles.push(role);
            }
        } else {
            let group_line = entry.line_of("group");
            let purpose = purpose(entry, faults);
            if purpose.code == ANY_PURPOSE {
                faults.add(
                    line,
                    "RESERVED",
                    format!("`{ANY_PURPOSE}` is every purpose and cannot be declared"),
                );
            } else if declared.purposes.iter().any(|known| known.code == purpose.code) {
                faults.add(line, "DUPLICATE_CODE", format!("purpose `{}` is declared twice", purpose.code));
            } else {
                declared.purposes.push(Arc::new(purpose));
                lines.push(group_line);
            }
        }
    });
    for (purpose, line) in declared.purposes.iter().zip(lines) {
        let Some(group) = &purpose.group else { continue };
        match declared.purposes.iter().find(|known| known.code == *group) {
            None => faults.add(line, "UNKNOWN_GROUP", format!("unknown group `{group}`")),
            Some(found) if !found.is_group => {
                faults.add(line, "NOT_A_GROUP", format!("purpose `{group}` is not a group"));
            }
            Some(_) if purpose.is_group => {
                faults.add(line, "NESTED_GROUP", "a group cannot belong to a group");
            }
            Some(_) => {}
        }
    }
    declared
}

fn role(mut entry: Entry<'_, '_>, faults: &mut Diagnostics) -> RoleDef {
    let role = RoleDef {
        code: entry.code("code", faults),
        title_de: entry.required("title_de", faults),
        title_en: entry.required("title_en", faults),
        of_subject: entry.flag("of_subject", faults),
    };
    entry.finish(faults);
    role
}

fn purpose(mut entry: Entry<'_, '_>, faults: &mut Diagnostics) -> PurposeDef {
    let is_group = entry.flag("is_group", faults);
    let basis = word(&mut entry, "legal_basis", "UNKNOWN_BASIS", "legal basis", LegalBasis::parse, faults);
    let grounds = word(&mut entry, "grounds", "UNKNOWN_GROUNDS", "grounds", Grounds::parse, faults);
    check_basis(&entry, is_group, basis, grounds, faults);
    let mut channels = Vec::new();
    for word in entry.list("channels", faults) {
        match Channel::parse(&word) {
            None => faults.add(
                entry.line_of("channels"),
                "UNKNOWN_CHANNEL",
                format!("unknown channel `{word}`; expected EMAIL, PHONE, SMS or POST"),
            ),
            Some(channel) if channels.contains(&channel) => {
                faults.add(entry.line_of("channels"), "DUPLICATE_CODE", format!("`{word}` is listed twice"));
            }
            Some(channel) => channels.push(channel),
        }
    }
    if grounds == Some(Grounds::Consent) && channels.is_empty() {
        // BGH I ZR 164/09: consent is given per channel.
        faults.add(entry.line_of("channels"), "CHANNELS_MISSING", "a consent needs at least one channel");
    }
    let allowed_while = entry.list("allowed_while", faults);
    for state in allowed_while.iter().filter(|state| !matches!(state.as_str(), "restricted" | "retained")) {
        let line = entry.line_of("allowed_while");
        faults.add(
            line,
            "UNKNOWN_STATE",
            format!("unknown state `{state}`; expected restricted or retained"),
        );
    }
    let sees = entry.optional("sees", faults);
    if let Some(sees) = sees.as_deref().filter(|sees| !matches!(*sees, "own" | "all")) {
        faults.add(entry.line_of("sees"), "UNKNOWN_SEES", format!("`{sees}` must be own or all"));
    }
    let purpose = PurposeDef {
        code: entry.code("code", faults),
        title_de: entry.required("title_de", faults),
        title_en: entry.required("title_en", faults),
        description_de: entry.required("description_de", faults),
        description_en: entry.required("description_en", faults),
        basis,
        grounds: grounds.unwrap_or(Grounds::None),
        channels,
        group: entry.optional("group", faults),
        is_group,
        sees_all: sees.as_deref() == Some("all"),
        allowed_restricted: allowed_while.iter().any(|state| state == "restricted"),
        allowed_retained: allowed_while.iter().any(|state| state == "retained"),
        dpv_iri: iri(&mut entry, faults),
        proof: entry.list("proof", faults),
        validity: period(&mut entry, "validity", faults),
        review: period(&mut entry, "review", faults),
        asks_renewal: entry.flag("asks_renewal", faults),
        retention: period(&mut entry, "retention", faults),
        recipients: entry.list("recipients", faults),
    };
    if purpose.review.is_some() && purpose.validity.is_none() {
        faults.add(entry.line_of("review"), "REVIEW_WITHOUT_END", "`review` requires a `validity`");
    }
    if purpose.asks_renewal && (purpose.review.is_none() || !purpose.channels.contains(&Channel::Email)) {
        let message = "`asks_renewal` requires a `review` and the channel EMAIL";
        faults.add(entry.line_of("asks_renewal"), "RENEWAL_WITHOUT_REVIEW", message);
    }
    entry.finish(faults);
    purpose
}

fn check_basis(
    entry: &Entry<'_, '_>,
    is_group: bool,
    basis: Option<LegalBasis>,
    grounds: Option<Grounds>,
    faults: &mut Diagnostics,
) {
    if is_group {
        if basis.is_some() || grounds.is_some() {
            let key = if basis.is_some() { "legal_basis" } else { "grounds" };
            let message = format!("a group has no `{key}`: its purposes have their own");
            faults.add(entry.line_of(key), "GROUP_WITH_BASIS", message);
        }
        return;
    }
    for (key, there) in [("legal_basis", entry.has("legal_basis")), ("grounds", entry.has("grounds"))] {
        if !there {
            faults.add(entry.line(), "MISSING_KEY", format!("`{key}` is missing"));
        }
    }
    if let (Some(basis), Some(grounds)) = (basis, grounds)
        && (basis == LegalBasis::Consent) != (grounds == Grounds::Consent)
    {
        let message = "the legal basis `CONSENT` and the grounds `consent` require each other";
        faults.add(entry.line_of("grounds"), "BASIS_AND_GROUNDS", message);
    }
}

fn word<T>(
    entry: &mut Entry<'_, '_>,
    key: &'static str,
    code: &'static str,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    faults: &mut Diagnostics,
) -> Option<T> {
    let word = entry.optional(key, faults)?;
    let value = parse(&word);
    if value.is_none() {
        faults.add(entry.line_of(key), code, format!("unknown {name} `{word}`"));
    }
    value
}

fn iri(entry: &mut Entry<'_, '_>, faults: &mut Diagnostics) -> Option<String> {
    let iri = entry.optional("dpv", faults)?;
    if !iri.starts_with("https://") || iri.contains(char::is_whitespace) {
        faults.add(entry.line_of("dpv"), "BAD_IRI", format!("`{iri}` must be an https IRI"));
    }
    Some(iri)
}
