//! By what a line names somebody, and which contacts that are (floor 4).

use std::collections::{HashMap, HashSet};

use entity::{contact, contact_point, enums::ContactState, provenance};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, Func},
};
use uuid::Uuid;

use crate::{error::Error, fold::dialled, suppressions::Addr};

/// Values in one list of a statement.
const PARAMETERS: usize = 5_000;

/// By what somebody is named.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Id(Uuid),
    /// Id in a source.
    External(String),
    /// Key of a mailbox.
    Email(String),
    /// A dialled number.
    Phone(String),
    /// Key of a postal address; nobody is looked for by one.
    Post(String),
}

impl Who {
    /// The address, where it is one.
    pub fn address(&self) -> Option<Addr<'_>> {
        match self {
            Self::Id(_) | Self::External(_) => None,
            Self::Email(key) => Some(Addr::Email(key)),
            Self::Phone(key) => Some(Addr::Phone(key)),
            Self::Post(key) => Some(Addr::Post(key)),
        }
    }
}

/// Contacts by what lines name them by; an id whether or not it is one.
pub(super) type Known = HashMap<Who, HashSet<Uuid>>;

/// Every contact that is named.
pub(super) fn ids(known: &Known) -> HashSet<Uuid> {
    known.values().flatten().copied().collect()
}

/// Looks for the contacts of all names: a statement for each kind of name. External ids are those of `source`, where one is given.
pub(super) async fn find<C: ConnectionTrait>(
    connection: &C,
    source: Option<&str>,
    named: impl Iterator<Item = &Who>,
) -> Result<Known, Error> {
    let mut known = Known::new();
    let (mut emails, mut phones, mut externals) = (HashSet::new(), HashSet::new(), HashSet::new());
    for who in named {
        match who {
            Who::Id(id) => _ = known.entry(who.clone()).or_default().insert(*id),
            Who::Email(key) => _ = emails.insert(key.as_str()),
            Who::Phone(key) => _ = phones.insert(key.as_str()),
            Who::External(id) => _ = externals.insert(id.as_str()),
            Who::Post(_) => {}
        }
    }
    let mut pairs: Vec<(Who, Uuid)> = Vec::new();
    for emails in Vec::from_iter(emails).chunks(PARAMETERS) {
        let is = |column: Expr| column.is_in(emails.iter().copied());
        let columns = (contact::Column::EmailKey, contact_point::Column::EmailKey);
        let rows = having(connection, columns, is).await?;
        pairs.extend(rows.into_iter().map(|(key, id)| (Who::Email(key), id)));
    }
    for phones in Vec::from_iter(phones).chunks(PARAMETERS) {
        let columns = (contact::Column::PhoneFolded, contact_point::Column::PhoneFolded);
        let rows = having(connection, columns, |column| is_dialled(column, phones)).await?;
        pairs.extend(rows.into_iter().map(|(key, id)| (Who::Phone(dialled(&key)), id)));
    }
    for externals in Vec::from_iter(externals).chunks(PARAMETERS) {
        use provenance::Column as Source;
        let rows = provenance::Entity::find().select_only().columns([Source::ExternalId, Source::ContactId]);
        let rows = rows.filter(Source::ExternalId.is_in(externals.iter().copied()));
        let rows = match source {
            Some(source) => rows.filter(Source::Source.eq(source.trim())),
            None => rows,
        };
        let rows: Vec<(String, Uuid)> = rows.into_tuple().all(connection).await?;
        pairs.extend(rows.into_iter().map(|(key, id)| (Who::External(key), id)));
    }
    for (who, id) in pairs {
        known.entry(who).or_default().insert(id);
    }
    Ok(known)
}

/// Keys of contacts and of their further contact points, where they are as `fits` says.
async fn having<C: ConnectionTrait>(
    connection: &C,
    (primary, further): (contact::Column, contact_point::Column),
    fits: impl Fn(Expr) -> Expr,
) -> Result<Vec<(String, Uuid)>, Error> {
    let contacts = contact::Entity::find().select_only().columns([primary, contact::Column::Id]);
    let contacts = contacts.filter(fits(Expr::col(primary)));
    let points =
        contact_point::Entity::find().select_only().columns([further, contact_point::Column::ContactId]);
    let points = points.filter(fits(Expr::col(further)));
    let mut rows: Vec<(String, Uuid)> = contacts.into_tuple().all(connection).await?;
    rows.extend(points.into_tuple::<(String, Uuid)>().all(connection).await?);
    Ok(rows)
}

/// Whether the number in `column`, kept as it was given, is dialled as one of these.
fn is_dialled(column: Expr, numbers: &[&str]) -> Expr {
    let bare = [" ", "\u{a0}", "-", "/", "(", ")", "."]
        .into_iter()
        .fold(column, |column, separator| Func::cust("replace").arg(column).arg(separator).arg("").into());
    let abroad = numbers.iter().filter_map(|number| number.strip_prefix('+')).map(|rest| format!("00{rest}"));
    bare.is_in(numbers.iter().map(|number| (*number).to_owned()).chain(abroad))
}

/// Those of the contacts that are there, and not erased.
pub(super) async fn present<C: ConnectionTrait>(
    connection: &C,
    ids: &HashSet<Uuid>,
) -> Result<HashSet<Uuid>, Error> {
    let mut there = HashSet::new();
    for ids in Vec::from_iter(ids.iter().copied()).chunks(PARAMETERS) {
        let rows = contact::Entity::find().select_only().column(contact::Column::Id);
        let rows = rows.filter(contact::Column::Id.is_in(ids.iter().copied()));
        let rows = rows.filter(contact::Column::State.ne(ContactState::Erased));
        there.extend(rows.into_tuple::<Uuid>().all(connection).await?);
    }
    Ok(there)
}
