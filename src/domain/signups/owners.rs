//! Whose a sign-up is: that of the person who made it, never of somebody else who reads the same mailbox. Room: domain/signups.

use entity::{contact, enums::ContactState, sign_up};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::domain::signups::validation::persons;
use crate::{
    audit::Transaction,
    base::{error::Error, fold::fold},
};

/// Given and family name, folded.
type Names = (Option<String>, Option<String>);

/// Id, given and family name, key of the primary mailbox.
type Row = (Uuid, Option<String>, Option<String>, Option<String>);

/// A record of the mailbox.
struct Record {
    id: Uuid,
    names: Names,
    /// Whether it has the mailbox as the primary one.
    primary: bool,
}

/// Whose record a sign-up is for: the contact it was made for, if the address is still its own; else the one that has the name that was
/// typed. None where it is a record of its own.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn owner(tx: &Transaction, sign_up: &sign_up::Model) -> Result<Option<Uuid>, Error> {
    let rows = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .column(contact::Column::GivenNameFolded)
        .column(contact::Column::FamilyNameFolded)
        .column(contact::Column::EmailKey)
        .filter(contact::Column::Id.in_subquery(persons(&sign_up.address_key)))
        .filter(contact::Column::State.is_in([ContactState::Active, ContactState::Restricted]))
        .order_by_asc(contact::Column::CreatedAt)
        .order_by_asc(contact::Column::Id);
    let rows: Vec<Row> = rows.into_tuple().all(tx.connection()).await?;
    let records = rows.into_iter().map(|(id, given, family, key)| Record {
        id,
        names: (named(given.as_ref()), named(family.as_ref())),
        primary: key.as_ref() == Some(&sign_up.address_key),
    });
    let records: Vec<Record> = records.collect();
    if let Some(meant) = sign_up.contact_id
        && records.iter().any(|record| record.primary && record.id == meant)
    {
        return Ok(Some(meant));
    }
    let typed = (named(sign_up.given_name.as_ref()), named(sign_up.family_name.as_ref()));
    Ok(chosen(&typed, &records))
}

fn named(name: Option<&String>) -> Option<String> {
    name.map(|name| fold(name)).filter(|name| !name.is_empty())
}

/// The record of whoever typed these names, the oldest of several of one person.
fn chosen(typed: &Names, records: &[Record]) -> Option<Uuid> {
    let primary = || records.iter().filter(|record| record.primary);
    // Several records of one person are one: whichever it is, nobody else declares.
    let one_person = |records: &[&Record]| {
        let first = records.first()?;
        records.iter().all(|record| record.names == first.names).then_some(first.id)
    };
    if *typed == (None, None) {
        let all: Vec<&Record> = records.iter().collect();
        let nameless = || primary().find(|record| record.names == (None, None)).map(|record| record.id);
        return match one_person(&all) {
            Some(_) => primary().next().map(|record| record.id),
            None => nameless(),
        };
    }
    if let Some(same) = primary().find(|record| record.names == *typed) {
        return Some(same.id);
    }
    let agreeing: Vec<&Record> = primary().filter(|record| agrees(typed, &record.names)).collect();
    if !agreeing.is_empty() {
        return one_person(&agreeing);
    }
    // A record without a name is that of the only one who is known to read there.
    match records {
        [only] if only.primary && !contradicts(typed, &only.names) => Some(only.id),
        _ => None,
    }
}

fn contradicts(typed: &Names, known: &Names) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| matches!((one, other), (Some(one), Some(other)) if one != other);
    differ(&typed.0, &known.0) || differ(&typed.1, &known.1)
}

fn agrees(typed: &Names, known: &Names) -> bool {
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    !contradicts(typed, known) && (same(&typed.0, &known.0) || same(&typed.1, &known.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let part = |part: &str| Some(part.to_owned()).filter(|part| part != "-");
        let (given, family) = text.split_once(' ').unwrap();
        (part(given), part(family))
    }

    /// The number of the record that is chosen; `~` before the name of one that has the mailbox as a further one.
    fn of(typed: &str, records: &[&str]) -> Option<u128> {
        let records: Vec<Record> = records
            .iter()
            .zip(1..)
            .map(|(text, number)| Record {
                id: Uuid::from_u128(number),
                names: names(text.trim_start_matches('~')),
                primary: !text.starts_with('~'),
            })
            .collect();
        chosen(&names(typed), &records).map(|id| id.as_u128())
    }

    #[test]
    fn a_name_finds_its_own_record_and_no_other() {
        let two = ["anna kohler", "ben kohler"];
        assert_eq!((of("anna kohler", &two), of("ben kohler", &two)), (Some(1), Some(2)));
        assert_eq!((of("ben -", &two), of("- kohler", &two)), (Some(2), None));
        assert_eq!(of("clara kohler", &two), None);
        assert_eq!(of("ben kohler", &["anna kohler"]), None);
        assert_eq!(of("anna kohler", &["anna -", "anna kohler", "anna kohler"]), Some(2));
        assert_eq!(of("anna -", &["anna kohler", "anna bauer"]), None);
        assert_eq!(of("anna -", &["anna kohler", "anna kohler"]), Some(1));
    }

    #[test]
    fn who_types_no_name_is_the_one_person_of_the_mailbox_or_nobody_known() {
        assert_eq!(of("- -", &["anna kohler"]), Some(1));
        assert_eq!(of("- -", &["anna kohler", "anna kohler"]), Some(1));
        assert_eq!(of("- -", &["anna kohler", "ben kohler"]), None);
        assert_eq!(of("- -", &["anna kohler", "- -", "- -"]), Some(2));
        assert_eq!(of("- -", &["anna kohler", "~ben kohler"]), None);
        assert_eq!(of("- -", &[]), None);
    }

    #[test]
    fn a_record_without_a_name_is_that_of_the_only_one_who_reads_there() {
        assert_eq!(of("anna kohler", &["- -"]), Some(1));
        assert_eq!(of("anna -", &["- kohler"]), Some(1));
        assert_eq!(of("anna kohler", &["- -", "ben kohler"]), None);
        assert_eq!(of("anna kohler", &["~anna kohler"]), None);
    }
}
