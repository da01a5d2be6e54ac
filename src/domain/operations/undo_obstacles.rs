//! What stands in the way of deleting an imported contact. Room: domain/operations.

use entity::{
    consent, contact_merge,
    enums::{StopKind, SuppressionKind},
    link, mail, objection, privacy_request, restriction, sign_up, stop,
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    audit::Transaction,
    base::error::Error,
    domain::{
        contacts::NewAddresses,
        suppressions::{self, OptOutDeclaration},
    },
};

/// Why nothing of a contact is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Something else was written after the import.
    ChangedSince,
    /// The person objected, and no suppression list would remember it.
    SaysNo,
    /// The values of before cannot be read any more.
    Unreadable,
}

impl Obstacle {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangedSince => "CHANGED_SINCE",
            Self::SaysNo => "SAYS_NO",
            Self::Unreadable => "UNREADABLE",
        }
    }
}

/// The first obstacle.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn find(
    tx: &Transaction,
    contact: Uuid,
    addresses: &NewAddresses,
    objections: &[objection::Model],
) -> Result<Option<Obstacle>, Error> {
    let declared = objections
        .iter()
        .filter(|row| row.kind == StopKind::Objection || row.source.is_some())
        .filter(|row| row.ended_at.is_none());
    for objection in declared {
        if !is_listed(tx, addresses, objection).await? {
            return Ok(Some(Obstacle::SaysNo));
        }
    }
    if count::<stop::Entity>(tx, stop::Column::ContactId.eq(contact)).await? {
        // A recipient must still be told to stop.
        return Ok(Some(Obstacle::SaysNo));
    }
    let is_referred_to = count::<consent::Entity>(tx, consent::Column::ContactId.eq(contact)).await?
        || count::<privacy_request::Entity>(tx, privacy_request::Column::ContactId.eq(contact)).await?
        || count::<restriction::Entity>(tx, restriction::Column::ContactId.eq(contact)).await?
        || count::<link::Entity>(
            tx,
            Condition::any().add(link::Column::ContactId.eq(contact)).add(link::Column::OpenedId.eq(contact)),
        )
        .await?
        || count::<mail::Entity>(tx, mail::Column::ContactId.eq(contact)).await?
        || count::<sign_up::Entity>(tx, sign_up::Column::ContactId.eq(contact)).await?
        || count::<contact_merge::Entity>(tx, contact_merge::Column::ContactId.eq(contact)).await?;
    Ok(is_referred_to.then_some(Obstacle::ChangedSince))
}

/// Whether there are rows.
async fn count<E>(tx: &Transaction, condition: impl sea_orm::sea_query::IntoCondition) -> Result<bool, Error>
where
    E: EntityTrait,
    E::Model: Sync,
{
    Ok(E::find().filter(condition).count(tx.connection()).await? > 0)
}

/// Whether the suppression list would remember what the person declared, for every address on the channel.
async fn is_listed(
    tx: &Transaction,
    addresses: &NewAddresses,
    objection: &objection::Model,
) -> Result<bool, Error> {
    let on_channel = addresses.clone().on_channels(objection.channel.as_ref().map(std::slice::from_ref));
    if on_channel.all().is_empty() {
        return Ok(false);
    }
    let matches = suppressions::lookup(tx, &on_channel).await?;
    let is_covered = |kind| {
        let declared = OptOutDeclaration {
            purpose: objection.purpose_code.clone(),
            kind,
            channel: objection.channel,
            since: objection.objected_at,
            source: objection.source.clone(),
        };
        matches.covers(&on_channel, &declared, false)
    };
    Ok(is_covered(SuppressionKind::Objection) || is_covered(SuppressionKind::Withdrawal))
}
