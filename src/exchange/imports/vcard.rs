//! vCards 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350) as rows. Room: exchange/imports.

use std::{borrow::Cow, collections::HashMap, io::Read};

use calcard::{
    Entry, Parser,
    common::IanaString,
    vcard::{
        VCard, VCardEntry, VCardKind, VCardParameterName, VCardParameterValue, VCardProperty as Property,
        VCardValue,
    },
};
use entity::enums::{Channel, ContactPointKind};
use sea_orm::ActiveEnum;

use super::{
    Encoding, Reason,
    row_draft::{CheckedRow, RowDraft, SeenKeys, ValueChecks, digest, external_id},
};
use crate::base::error::Error;
use crate::exchange::imports::{
    native,
    options::decode,
    vcard_splitter::{Cards, Piece},
};

/// The property of a Zweck card whose contact is restricted or only retained, or whose state is unknown. The
/// restriction is not exported, so the card is rejected.
pub const STATE: &str = "X-ZWECK-STATE";
/// An opt-out in a Zweck card: the code of a purpose or group, `@` and the start, a space, and the channel or `ALL`.
pub const OPT_OUT: &str = "X-ZWECK-OPT-OUT";

/// The cards of a file as rows.
pub(super) struct CardRows<R> {
    cards: Cards<R>,
    encoding: Encoding,
    checks: ValueChecks,
    seen: SeenKeys,
}

/// A rejected card; if it may opt out, that is not recorded.
fn unreadable(line: u64, reason: Reason, may_opt_out: bool) -> CheckedRow {
    let mut checked = CheckedRow::unreadable(line, reason);
    checked.problems.iter_mut().for_each(|problem| problem.no_not_taken = may_opt_out);
    checked
}

impl<R: Read> CardRows<R> {
    pub fn new(file: R, encoding: Encoding, checks: ValueChecks) -> Self {
        Self { cards: Cards::new(file, OPT_OUT), encoding, checks, seen: SeenKeys::new() }
    }

    /// The next card.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<CheckedRow>, Error> {
        let piece = self
            .cards
            .next()
            .map_err(|_| crate::exchange::imports::csv_scanner::broken_off_error(self.cards.line()))?;
        Ok(piece.map(|piece| match piece {
            Piece::Refused { line, reason, has_mark } => unreadable(line, reason, has_mark),
            Piece::Card { line, bytes, agent } => {
                let has_opt_out =
                    bytes.windows(OPT_OUT.len()).any(|at| at.eq_ignore_ascii_case(OPT_OUT.as_bytes()));
                self.card(line, &bytes, agent, has_opt_out)
            }
        }))
    }

    /// Parses a card. An opt-out in it is never dropped silently.
    fn card(&mut self, line: u64, bytes: &[u8], agent: bool, has_opt_out: bool) -> CheckedRow {
        let text = match decode(self.encoding, bytes) {
            Ok(text) => text,
            Err(reason) => return unreadable(line, reason, has_opt_out),
        };
        let Entry::VCard(card) = Parser::new(&text).entry() else {
            return unreadable(line, Reason::BrokenCard, has_opt_out);
        };
        if card.entries.len() > MAX_ENTRIES {
            return unreadable(line, Reason::TooLong, has_opt_out);
        }
        let mut draft = RowDraft::new(self.checks, line);
        if agent {
            draft.mark_left_out("AGENT");
        }
        if !is_person(&card) {
            draft.reject(Some("KIND"), Reason::NotAPerson);
        }
        let uid = fill_draft(&mut draft, &card);
        let id = match uid.as_deref().map(external_id) {
            None | Some(Err(Reason::MissingExternalId)) => Ok(digest_of(&text)),
            Some(id) => id,
        };
        match id {
            Ok(id) => draft.finish(id, uid.as_ref().map(|_| "UID"), None, &mut self.seen),
            Err(reason) => draft.without_id("UID", reason),
        }
    }
}

/// Most lines of a card that say something.
const MAX_ENTRIES: usize = 2_000;

/// A digest that replaces the id of a card without one, independent of line endings.
fn digest_of(text: &str) -> String {
    digest(text.lines().map(|line| (b"line".as_slice(), line.trim_end().as_bytes())))
}

/// A contact is a natural person: no group, organisation, place or device.
fn is_person(card: &VCard) -> bool {
    card.entries.iter().all(|entry| match (&entry.name, entry.values.first()) {
        (Property::Kind, Some(VCardValue::Kind(kind))) => *kind == VCardKind::Individual,
        (Property::Kind, Some(VCardValue::Text(kind))) => kind.eq_ignore_ascii_case("individual"),
        (Property::Other(name), Some(VCardValue::Text(kind))) => {
            // As address books say it.
            let is = |property: &str, word: &str| {
                name.eq_ignore_ascii_case(property) && kind.eq_ignore_ascii_case(word)
            };
            !is("X-ADDRESSBOOKSERVER-KIND", "group") && !is("X-ABShowAs", "company")
        }
        _ => true,
    })
}

/// A value that a card has several of, with how much it is preferred (1 most) and what it is used for.
struct Ranked<'a> {
    entry: &'a VCardEntry,
    rank: u32,
    uses: Vec<String>,
}

/// Not where one calls a person first.
const MACHINES: [&str; 4] = ["fax", "pager", "textphone", "modem"];

impl Ranked<'_> {
    fn is_machine(&self) -> bool {
        self.uses.iter().any(|usage| MACHINES.contains(&usage.as_str()))
    }

    fn label(&self) -> String {
        self.uses.join(", ")
    }
}

/// Labels that address books give to groups of lines.
type Labels<'a> = HashMap<&'a str, String>;

fn labels(card: &VCard) -> Labels<'_> {
    let named = card.entries.iter().filter_map(|entry| match &entry.name {
        Property::Other(name) if name.eq_ignore_ascii_case("X-ABLabel") => {
            let text = part(entry, 0)?;
            // Their own words, `_$!<Home>!$_`, in the form of those of the standard.
            let standard = text.strip_prefix("_$!<").and_then(|text| text.strip_suffix(">!$_"));
            Some((entry.group.as_deref()?, standard.map(str::to_lowercase).unwrap_or(text)))
        }
        _ => None,
    });
    named.collect()
}

/// Takes over the values of the fields and returns the UID.
fn fill_draft(draft: &mut RowDraft, card: &VCard) -> Option<String> {
    let labels = labels(card);
    let ranked = |entry| ranked(&labels, entry);
    let mut uid = None;
    let (mut names, mut full) = (false, None);
    let (mut emails, mut phones, mut addresses, mut languages) = (vec![], vec![], vec![], vec![]);
    let (mut notes, mut titles, mut organisations) = (vec![], vec![], vec![]);
    for entry in &card.entries {
        let property = &entry.name;
        if matches!(property, Property::Photo | Property::Logo | Property::Sound) {
            draft.warn(Some(property.as_str()), Reason::PictureRefused);
            continue;
        }
        if let Some(VCardValue::Binary(_)) = entry.values.first().filter(|_| is_text(property)) {
            // The decoded bytes are not valid text in the stated character set.
            draft.invalid_value(property.as_str(), Reason::InvalidUtf8);
            continue;
        }
        match property {
            // One of several names holds whole: parts of two make a third person.
            Property::N if names => draft.mark_left_out("N"),
            Property::N => names = name(draft, entry),
            Property::Fn if full.is_some() => draft.mark_left_out("FN"),
            Property::Fn => full = part(entry, 0),
            Property::Email => emails.push(ranked(entry)),
            Property::Tel => phones.push(ranked(entry)),
            Property::Adr => addresses.push(ranked(entry)),
            Property::Lang => languages.push(ranked(entry)),
            Property::Language => languages.push(Ranked { rank: 102, ..ranked(entry) }),
            Property::Bday => birthday(draft, entry),
            Property::Org => organisations.push(entry),
            Property::Title => titles.insert(0, entry),
            Property::Role => titles.push(entry),
            Property::Note => notes.extend(part(entry, 0)),
            Property::Uid => uid = uid.or_else(|| part(entry, 0)),
            Property::Begin | Property::End | Property::Version | Property::Prodid | Property::Rev => {}
            Property::Kind => {}
            // Names that somebody made up may tell of a person.
            Property::Other(name) if name.eq_ignore_ascii_case("X-ABLabel") => {}
            Property::Other(name) if name.eq_ignore_ascii_case(STATE) => {
                draft.reject(Some(STATE), Reason::NotActive);
            }
            Property::Other(name) if name.eq_ignore_ascii_case(OPT_OUT) => {
                let text = part(entry, 0).unwrap_or_default();
                let (code, channel) = text.split_once(' ').unwrap_or((&text, ""));
                let channel = Channel::try_from_value(&channel.to_owned()).ok();
                draft.add_opt_out(native::parse_opt_out(code, channel));
            }
            Property::Other(_) => draft.mark_left_out("X-"),
            other => draft.mark_left_out(other.as_str()),
        }
    }
    if let (false, Some(full)) = (names, full) {
        // It is unknown where to split it.
        draft.set("familyName", "FN", &full);
    }
    add_contact_values(draft, emails, ContactPointKind::Email, "email", "EMAIL");
    add_contact_values(draft, phones, ContactPointKind::Phone, "phone", "TEL");
    add_postal(draft, addresses);
    languages.sort_by_key(|ranked| ranked.rank);
    set_first(draft, languages.iter().map(|ranked| ranked.entry), "language", "LANG");
    set_first(draft, titles.into_iter(), "jobTitle", "TITLE");
    if organisations.iter().any(|entry| entry.values.len() > 1) {
        draft.mark_left_out("ORG (unit)");
    }
    set_first(draft, organisations.into_iter(), "company", "ORG");
    draft.set("notes", "NOTE", &notes.join("\n\n").replace("\r\n", "\n"));
    uid
}

fn is_text(property: &Property) -> bool {
    use Property::{Adr, Email, Fn, Lang, N, Note, Org, Role, Tel, Title, Uid};
    matches!(property, N | Fn | Email | Tel | Adr | Lang | Org | Title | Role | Note | Uid)
}

/// A component of a structured value; its own parts, where it has several, joined.
fn part(entry: &VCardEntry, index: usize) -> Option<String> {
    let text = match entry.values.get(index)? {
        VCardValue::Component(parts) => {
            let parts: Vec<&str> =
                parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
            parts.join(", ")
        }
        value => value.as_text()?.trim().to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// Sets the names of the person; returns whether there are any. Prefixes and suffixes are dropped.
fn name(draft: &mut RowDraft, entry: &VCardEntry) -> bool {
    let given = [part(entry, 1), part(entry, 2).map(|further| further.replace(", ", " "))];
    let given: Vec<String> = given.into_iter().flatten().collect();
    let family = part(entry, 0);
    if part(entry, 3).or_else(|| part(entry, 4)).is_some() {
        draft.mark_left_out("N (prefix, suffix)");
    }
    draft.set("givenName", "N", &given.join(" "));
    draft.set("familyName", "N", family.as_deref().unwrap_or_default());
    family.is_some() || !given.is_empty()
}

fn birthday(draft: &mut RowDraft, entry: &VCardEntry) {
    // A placeholder for an unknown year.
    let omitted = entry.params.iter().any(
        |parameter| matches!(&parameter.name, VCardParameterName::Other(name) if name.eq_ignore_ascii_case("X-APPLE-OMIT-YEAR")),
    );
    if omitted {
        return draft.invalid_value("BDAY", Reason::InvalidBirthDate);
    }
    let date = match entry.values.first() {
        Some(VCardValue::PartialDateTime(date)) => match (date.year, date.month, date.day) {
            (Some(year), Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
            _ => return draft.invalid_value("BDAY", Reason::InvalidBirthDate),
        },
        _ => part(entry, 0).unwrap_or_default(),
    };
    draft.set("birthDate", "BDAY", &date);
}

/// How much an entry is preferred, and what it is used for.
fn ranked<'a>(labels: &Labels<'_>, entry: &'a VCardEntry) -> Ranked<'a> {
    let (mut rank, mut uses) = (101, Vec::new());
    for parameter in &entry.params {
        match (&parameter.name, &parameter.value) {
            (VCardParameterName::Pref, VCardParameterValue::Integer(number)) => rank = *number,
            (VCardParameterName::Pref, _) => rank = 1,
            (VCardParameterName::Type, VCardParameterValue::Type(usage)) => {
                uses.push(usage.as_str().to_lowercase())
            }
            (VCardParameterName::Type, VCardParameterValue::Text(usage))
                if usage.eq_ignore_ascii_case("pref") =>
            {
                rank = 1;
            }
            (VCardParameterName::Type, VCardParameterValue::Text(usage)) => uses.push(usage.to_lowercase()),
            _ => {}
        }
    }
    // Types without information.
    uses.retain(|usage| {
        !["internet", "voice", "postal", "parcel", "msg", "text", "video"].contains(&usage.as_str())
    });
    uses.extend(entry.group.as_deref().and_then(|group| labels.get(group)).cloned());
    Ranked { entry, rank, uses }
}

/// The text behind the scheme of a URI (`tel:`, `mailto:`), or the text itself.
fn without_scheme<'a>(text: &'a str, scheme: &str) -> Cow<'a, str> {
    match text.split_at_checked(scheme.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(scheme) => {
            percent_encoding::percent_decode_str(rest).decode_utf8().unwrap_or(Cow::Borrowed(rest))
        }
        _ => Cow::Borrowed(text),
    }
}

/// E-mail addresses and phone numbers: the preferred one belongs to the contact, the others become contact points. One
/// that cannot be right gives way to one that can.
fn add_contact_values(
    draft: &mut RowDraft,
    all: Vec<Ranked<'_>>,
    kind: ContactPointKind,
    field: &str,
    column: &str,
) {
    let scheme = if kind == ContactPointKind::Phone { "tel:" } else { "mailto:" };
    let mut all: Vec<(Ranked<'_>, String)> = all
        .into_iter()
        .filter_map(|ranked| {
            let value = without_scheme(&part(ranked.entry, 0)?, scheme).into_owned();
            Some((ranked, value))
        })
        .collect();
    all.sort_by_cached_key(|(ranked, value)| (ranked.is_machine(), !draft.fits(field, value), ranked.rank));
    for (index, (ranked, value)) in all.iter().enumerate() {
        if index == 0 && !ranked.is_machine() {
            draft.set(field, column, value);
            if !ranked.uses.is_empty() {
                draft.mark_left_out(format!("{column} (use of the first)"));
            }
        } else {
            draft.point(kind, column, &[(field, value), ("label", &ranked.label())], None);
        }
    }
}

/// Postal addresses, in the same way.
fn add_postal(draft: &mut RowDraft, mut all: Vec<Ranked<'_>>) {
    all.retain(|ranked| [0, 1, 2, 3, 5, 6].into_iter().any(|index| part(ranked.entry, index).is_some()));
    all.sort_by_key(|ranked| ranked.rank);
    for (index, ranked) in all.iter().enumerate() {
        let entry = ranked.entry;
        let lines: Vec<String> = (0..3).filter_map(|line| part(entry, line)).collect();
        let in_one_line = |text: String| {
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            lines.join(", ")
        };
        let text = |component| part(entry, component).map(in_one_line).unwrap_or_default();
        let (street, city, code, country) = (in_one_line(lines.join("\n")), text(3), text(5), text(6));
        let label = ranked.label();
        let values =
            [("street", street.as_str()), ("city", &city), ("postalCode", &code), ("country", &country)];
        if part(entry, 4).is_some() {
            draft.mark_left_out("ADR (region)");
        }
        if index > 0 {
            let [street, city, code, country] = values;
            let values = [street, city, code, country, ("label", &label)];
            draft.point(ContactPointKind::Postal, "ADR", &values, None);
            continue;
        }
        for (name, value) in values {
            draft.set(name, "ADR", value);
        }
        if !label.is_empty() {
            draft.mark_left_out("ADR (use of the first)");
        }
    }
}

/// The first of several entries; the others are left out.
fn set_first<'a>(
    draft: &mut RowDraft,
    entries: impl Iterator<Item = &'a VCardEntry>,
    field: &str,
    column: &str,
) {
    let mut texts = entries.filter_map(|entry| Some((entry, part(entry, 0)?)));
    if let Some((_, text)) = texts.next() {
        draft.set(field, column, &text);
    }
    for (entry, _) in texts {
        draft.mark_left_out(entry.name.as_str());
    }
}
