//! Finds the contact of a sign-up: that of the person who made it, never of another reader of the same mailbox.
//! Room: domain/signups.

use entity::{contact, enums::ContactState, sign_up};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::domain::signups::validation::contacts_of_mailbox;
use crate::{
    audit::Transaction,
    base::{error::Error, fold::fold},
};

/// Given and family name, folded.
type Names = (Option<String>, Option<String>);

/// Id, given and family name, key of the primary mailbox.
type Row = (Uuid, Option<String>, Option<String>, Option<String>);

/// A contact with the mailbox.
struct Record {
    id: Uuid,
    names: Names,
    /// Whether the mailbox is its primary address.
    primary: bool,
}

/// The contact of a sign-up: the one it was made for, if the address is still its own; otherwise the one with the
/// given name. `None` if it needs a new contact.
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
        .filter(contact::Column::Id.in_subquery(contacts_of_mailbox(&sign_up.address_key)))
        .filter(contact::Column::State.is_in([ContactState::Active, ContactState::Restricted]))
        .order_by_asc(contact::Column::CreatedAt)
        .order_by_asc(contact::Column::Id);
    let rows: Vec<Row> = rows.into_tuple().all(tx.connection()).await?;
    let records = rows.into_iter().map(|(id, given, family, key)| Record {
        id,
        names: (folded(given.as_ref()), folded(family.as_ref())),
        primary: key.as_ref() == Some(&sign_up.address_key),
    });
    let records: Vec<Record> = records.collect();
    if let Some(contact) = sign_up.contact_id
        && records.iter().any(|record| record.primary && record.id == contact)
    {
        return Ok(Some(contact));
    }
    let given = (folded(sign_up.given_name.as_ref()), folded(sign_up.family_name.as_ref()));
    Ok(matching_record(&given, &records))
}

fn folded(name: Option<&String>) -> Option<String> {
    name.map(|name| fold(name)).filter(|name| !name.is_empty())
}

/// The record with the given names; the oldest of several of one person.
fn matching_record(given: &Names, records: &[Record]) -> Option<Uuid> {
    let primary = || records.iter().filter(|record| record.primary);
    // Several records of one person count as one: whichever is chosen, nobody else declares.
    let one_person = |records: &[&Record]| {
        let first = records.first()?;
        records.iter().all(|record| record.names == first.names).then_some(first.id)
    };
    if *given == (None, None) {
        let all: Vec<&Record> = records.iter().collect();
        let nameless = || primary().find(|record| record.names == (None, None)).map(|record| record.id);
        return match one_person(&all) {
            Some(_) => primary().next().map(|record| record.id),
            None => nameless(),
        };
    }
    if let Some(same) = primary().find(|record| record.names == *given) {
        return Some(same.id);
    }
    let agreeing: Vec<&Record> = primary().filter(|record| names_match(given, &record.names)).collect();
    if !agreeing.is_empty() {
        return one_person(&agreeing);
    }
    // A record without a name belongs to the only person known to read there.
    match records {
        [only] if only.primary && !names_conflict(given, &only.names) => Some(only.id),
        _ => None,
    }
}

fn names_conflict(given: &Names, recorded: &Names) -> bool {
    let differ = |left: &Option<String>, right: &Option<String>| matches!((left, right), (Some(left), Some(right)) if left != right);
    differ(&given.0, &recorded.0) || differ(&given.1, &recorded.1)
}

fn names_match(given: &Names, recorded: &Names) -> bool {
    let same = |left: &Option<String>, right: &Option<String>| left.is_some() && left == right;
    !names_conflict(given, recorded) && (same(&given.0, &recorded.0) || same(&given.1, &recorded.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let part = |part: &str| Some(part.to_owned()).filter(|part| part != "-");
        let (given, family) = text.split_once(' ').unwrap();
        (part(given), part(family))
    }

    /// The number of the chosen record; `~` marks a name whose record has the mailbox as a further one.
    fn matching_number(given: &str, records: &[&str]) -> Option<u128> {
        let records: Vec<Record> = records
            .iter()
            .zip(1..)
            .map(|(text, number)| Record {
                id: Uuid::from_u128(number),
                names: names(text.trim_start_matches('~')),
                primary: !text.starts_with('~'),
            })
            .collect();
        matching_record(&names(given), &records).map(|id| id.as_u128())
    }

    #[test]
    fn a_name_finds_its_own_record_and_no_other() {
        let two = ["anna kohler", "ben kohler"];
        assert_eq!(
            (matching_number("anna kohler", &two), matching_number("ben kohler", &two)),
            (Some(1), Some(2))
        );
        assert_eq!((matching_number("ben -", &two), matching_number("- kohler", &two)), (Some(2), None));
        assert_eq!(matching_number("clara kohler", &two), None);
        assert_eq!(matching_number("ben kohler", &["anna kohler"]), None);
        assert_eq!(matching_number("anna kohler", &["anna -", "anna kohler", "anna kohler"]), Some(2));
        assert_eq!(matching_number("anna -", &["anna kohler", "anna bauer"]), None);
        assert_eq!(matching_number("anna -", &["anna kohler", "anna kohler"]), Some(1));
    }

    #[test]
    fn who_types_no_name_is_the_one_person_of_the_mailbox_or_nobody_known() {
        assert_eq!(matching_number("- -", &["anna kohler"]), Some(1));
        assert_eq!(matching_number("- -", &["anna kohler", "anna kohler"]), Some(1));
        assert_eq!(matching_number("- -", &["anna kohler", "ben kohler"]), None);
        assert_eq!(matching_number("- -", &["anna kohler", "- -", "- -"]), Some(2));
        assert_eq!(matching_number("- -", &["anna kohler", "~ben kohler"]), None);
        assert_eq!(matching_number("- -", &[]), None);
    }

    #[test]
    fn a_record_without_a_name_is_that_of_the_only_one_who_reads_there() {
        assert_eq!(matching_number("anna kohler", &["- -"]), Some(1));
        assert_eq!(matching_number("anna -", &["- kohler"]), Some(1));
        assert_eq!(matching_number("anna kohler", &["- -", "ben kohler"]), None);
        assert_eq!(matching_number("anna kohler", &["~anna kohler"]), None);
    }
}
