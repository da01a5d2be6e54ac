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

pub(super) fn parse(text: &str, diagnostics: &mut Diagnostics) -> Declared {
    let mut declared = Declared::default();
    let mut lines = Vec::new();
    toml_reader::read(text, &["role", "purpose", "form", "text"], diagnostics, |kind, entry, diagnostics| {
        let line = entry.line_of("code");
        if kind == "text" {
            declared.requirements.push(forms::requirement(entry, diagnostics));
        } else if kind == "form" {
            let form = forms::form(entry, diagnostics);
            if declared.forms.iter().any(|existing| existing.code == form.code) {
                diagnostics.add(line, "DUPLICATE_CODE", format!("form `{}` is declared twice", form.code));
            } else {
                declared.forms.push(form);
            }
        } else if kind == "role" {
            let role = role(entry, diagnostics);
            if role.code == ANY_ROLE {
                diagnostics.add(
                    line,
                    "RESERVED",
                    format!("`{ANY_ROLE}` is every role and cannot be declared"),
                );
            } else if declared.roles.iter().any(|existing| existing.code == role.code) {
                diagnostics.add(line, "DUPLICATE_CODE", format!("role `{}` is declared twice", role.code));
            } else {
                declared.roles.push(role);
            }
        } else {
            let group_line = entry.line_of("group");
            let purpose = purpose(entry, diagnostics);
            if purpose.code == ANY_PURPOSE {
                diagnostics.add(
                    line,
                    "RESERVED",
                    format!("`{ANY_PURPOSE}` is every purpose and cannot be declared"),
                );
            } else if declared.purposes.iter().any(|existing| existing.code == purpose.code) {
                diagnostics.add(
                    line,
                    "DUPLICATE_CODE",
                    format!("purpose `{}` is declared twice", purpose.code),
                );
            } else {
                declared.purposes.push(Arc::new(purpose));
                lines.push(group_line);
            }
        }
    });
    for (purpose, line) in declared.purposes.iter().zip(lines) {
        let Some(group) = &purpose.group else { continue };
        match declared.purposes.iter().find(|existing| existing.code == *group) {
            None => diagnostics.add(line, "UNKNOWN_GROUP", format!("unknown group `{group}`")),
            Some(found) if !found.is_group => {
                diagnostics.add(line, "NOT_A_GROUP", format!("purpose `{group}` is not a group"));
            }
            Some(_) if purpose.is_group => {
                diagnostics.add(line, "NESTED_GROUP", "a group cannot belong to a group");
            }
            Some(_) => {}
        }
    }
    declared
}

fn role(mut entry: Entry<'_, '_>, diagnostics: &mut Diagnostics) -> RoleDef {
    let role = RoleDef {
        code: entry.code("code", diagnostics),
        title_de: entry.required("title_de", diagnostics),
        title_en: entry.required("title_en", diagnostics),
        of_subject: entry.flag("of_subject", diagnostics),
    };
    entry.finish(diagnostics);
    role
}

fn purpose(mut entry: Entry<'_, '_>, diagnostics: &mut Diagnostics) -> PurposeDef {
    let is_group = entry.flag("is_group", diagnostics);
    let basis =
        word(&mut entry, "legal_basis", "UNKNOWN_BASIS", "legal basis", LegalBasis::parse, diagnostics);
    let grounds = word(&mut entry, "grounds", "UNKNOWN_GROUNDS", "grounds", Grounds::parse, diagnostics);
    check_basis(&entry, is_group, basis, grounds, diagnostics);
    let mut channels = Vec::new();
    for word in entry.list("channels", diagnostics) {
        match Channel::parse(&word) {
            None => diagnostics.add(
                entry.line_of("channels"),
                "UNKNOWN_CHANNEL",
                format!("unknown channel `{word}`; expected EMAIL, PHONE, SMS or POST"),
            ),
            Some(channel) if channels.contains(&channel) => {
                diagnostics.add(
                    entry.line_of("channels"),
                    "DUPLICATE_CODE",
                    format!("`{word}` is listed twice"),
                );
            }
            Some(channel) => channels.push(channel),
        }
    }
    if grounds == Some(Grounds::Consent) && channels.is_empty() {
        // BGH I ZR 164/09: consent is given per channel.
        diagnostics.add(
            entry.line_of("channels"),
            "CHANNELS_MISSING",
            "a consent needs at least one channel",
        );
    }
    let allowed_while = entry.list("allowed_while", diagnostics);
    for state in allowed_while.iter().filter(|state| !matches!(state.as_str(), "restricted" | "retained")) {
        let line = entry.line_of("allowed_while");
        diagnostics.add(
            line,
            "UNKNOWN_STATE",
            format!("unknown state `{state}`; expected restricted or retained"),
        );
    }
    let sees = entry.optional("sees", diagnostics);
    if let Some(sees) = sees.as_deref().filter(|sees| !matches!(*sees, "own" | "all")) {
        diagnostics.add(entry.line_of("sees"), "UNKNOWN_SEES", format!("`{sees}` must be own or all"));
    }
    let purpose = PurposeDef {
        code: entry.code("code", diagnostics),
        title_de: entry.required("title_de", diagnostics),
        title_en: entry.required("title_en", diagnostics),
        description_de: entry.required("description_de", diagnostics),
        description_en: entry.required("description_en", diagnostics),
        basis,
        grounds: grounds.unwrap_or(Grounds::None),
        channels,
        group: entry.optional("group", diagnostics),
        is_group,
        sees_all: sees.as_deref() == Some("all"),
        allowed_restricted: allowed_while.iter().any(|state| state == "restricted"),
        allowed_retained: allowed_while.iter().any(|state| state == "retained"),
        dpv_iri: iri(&mut entry, diagnostics),
        proof: entry.list("proof", diagnostics),
        validity: period(&mut entry, "validity", diagnostics),
        review: period(&mut entry, "review", diagnostics),
        asks_renewal: entry.flag("asks_renewal", diagnostics),
        retention: period(&mut entry, "retention", diagnostics),
        recipients: entry.list("recipients", diagnostics),
    };
    if purpose.review.is_some() && purpose.validity.is_none() {
        diagnostics.add(entry.line_of("review"), "REVIEW_WITHOUT_END", "`review` requires a `validity`");
    }
    if purpose.asks_renewal && (purpose.review.is_none() || !purpose.channels.contains(&Channel::Email)) {
        let message = "`asks_renewal` requires a `review` and the channel EMAIL";
        diagnostics.add(entry.line_of("asks_renewal"), "RENEWAL_WITHOUT_REVIEW", message);
    }
    entry.finish(diagnostics);
    purpose
}

fn check_basis(
    entry: &Entry<'_, '_>,
    is_group: bool,
    basis: Option<LegalBasis>,
    grounds: Option<Grounds>,
    diagnostics: &mut Diagnostics,
) {
    if is_group {
        if basis.is_some() || grounds.is_some() {
            let key = if basis.is_some() { "legal_basis" } else { "grounds" };
            let message = format!("a group has no `{key}`: its purposes have their own");
            diagnostics.add(entry.line_of(key), "GROUP_WITH_BASIS", message);
        }
        return;
    }
    for (key, there) in [("legal_basis", entry.has("legal_basis")), ("grounds", entry.has("grounds"))] {
        if !there {
            diagnostics.add(entry.line(), "MISSING_KEY", format!("`{key}` is missing"));
        }
    }
    if let (Some(basis), Some(grounds)) = (basis, grounds)
        && (basis == LegalBasis::Consent) != (grounds == Grounds::Consent)
    {
        let message = "the legal basis `CONSENT` and the grounds `consent` require each other";
        diagnostics.add(entry.line_of("grounds"), "BASIS_AND_GROUNDS", message);
    }
}

fn word<T>(
    entry: &mut Entry<'_, '_>,
    key: &'static str,
    code: &'static str,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let word = entry.optional(key, diagnostics)?;
    let value = parse(&word);
    if value.is_none() {
        diagnostics.add(entry.line_of(key), code, format!("unknown {name} `{word}`"));
    }
    value
}

fn iri(entry: &mut Entry<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let iri = entry.optional("dpv", diagnostics)?;
    if !iri.starts_with("https://") || iri.contains(char::is_whitespace) {
        diagnostics.add(entry.line_of("dpv"), "BAD_IRI", format!("`{iri}` must be an https IRI"));
    }
    Some(iri)
}
