//! Pending sign-ups: a mailed link opens every unconfirmed sign-up of its mailbox. Room: domain/signups.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::{enums::LinkKind, link, mail, sign_up};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Alias, Expr, Query, SelectStatement},
};
use uuid::Uuid;

use super::choices::StoredChoice;
use crate::domain::signups::validation::is_blocked;
use crate::{
    audit::Transaction,
    base::{error::Error, identities::Reader},
    config::public_pages::PublicPages,
    crypto::installation_keys::InstallationKeys,
    domain::mail_outbox::{self, NotSentReason, SendTime},
    policy::{Grounds, Policy},
};

/// A sign-up with its pending choices.
#[derive(Clone, Debug)]
pub(super) struct PendingSignUp {
    pub(super) sign_up: sign_up::Model,
    pub(super) choices: Vec<StoredChoice>,
}

/// The context of a look-up of pending sign-ups.
pub(super) struct PendingQuery<'a> {
    pub(super) policy: &'a Policy,
    pub(super) installation_keys: (Option<&'a InstallationKeys>, &'a Reader),
    pub(super) now: DateTime<Utc>,
    /// Whether the rows are to be locked.
    pub(super) locked: bool,
}

/// Sign-ups of the same mailbox under the same name as `linked_sign_up`, and for the same contact if they were made for a
/// known one. A link proves a mailbox: a request for one record, or in one name, declares nothing for another.
fn same_person((link, linked_sign_up): (&link::Model, &sign_up::Model)) -> Condition {
    let contact = match link.contact_id {
        Some(id) => sign_up::Column::ContactId.eq(id),
        None => sign_up::Column::ContactId.is_null(),
    };
    Condition::all()
        .add(sign_up::Column::AddressKey.eq(&link.address_key))
        .add(contact)
        .add(by_name(linked_sign_up))
}

/// Sign-ups under the same name.
fn by_name(linked_sign_up: &sign_up::Model) -> Condition {
    let is = |column: sign_up::Column, name: &Option<String>| match name {
        Some(name) => column.eq(name),
        None => column.is_null(),
    };
    Condition::all()
        .add(is(sign_up::Column::GivenName, &linked_sign_up.given_name))
        .add(is(sign_up::Column::FamilyName, &linked_sign_up.family_name))
}

/// Of identical sign-ups only the newest counts: their number is bounded by the possible choices, not by how often
/// somebody asks.
fn newest_sign_ups(of: (&link::Model, &sign_up::Model), now: DateTime<Utc>) -> SelectStatement {
    let holds = Query::select()
        .expr(Expr::val(1))
        .from(link::Entity)
        .and_where(
            Expr::col((link::Entity, link::Column::SignUpId)).equals((sign_up::Entity, sign_up::Column::Id)),
        )
        .and_where(Expr::col((link::Entity, link::Column::Kind)).eq(LinkKind::Confirm))
        .and_where(Expr::col((link::Entity, link::Column::UsedAt)).is_null())
        .and_where(Expr::col((link::Entity, link::Column::ExpiresAt)).gt(now))
        .take();
    let rank = "ROW_NUMBER() OVER (PARTITION BY choices ORDER BY signed_up_at DESC, id DESC)";
    let ranked = sign_up::Entity::find()
        .select_only()
        .column(sign_up::Column::Id)
        .column_as(Expr::cust(rank), "place")
        .filter(same_person(of))
        // A sign-up that nobody confirmed while its own link was valid is over, whatever comes after it.
        .filter(Expr::exists(holds))
        .into_query();
    Query::select()
        .column(sign_up::Column::Id)
        .from_subquery(ranked, Alias::new("ranked"))
        .and_where(Expr::col(Alias::new("place")).eq(1))
        .take()
}

/// The sign-ups that the link opens: each purpose once, by its newest sign-up. Purposes that the policy no longer
/// knows are left out, and so are those withdrawn, refused or objected to since: a person who objects need not
/// search for older mails.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn load<C: ConnectionTrait>(
    connection: &C,
    query: &PendingQuery<'_>,
    (link, linked_sign_up): (&link::Model, &sign_up::Model),
) -> Result<Vec<PendingSignUp>, Error> {
    // A link whose own sign-up is done opens no other's.
    if link.sign_up_id.is_none() || link.address_key.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sign_up::Entity::find()
        .filter(sign_up::Column::Id.in_subquery(newest_sign_ups((link, linked_sign_up), query.now)))
        .apply_if(query.locked.then_some(()), |rows, ()| rows.lock_exclusive());
    let mut rows = rows.all(connection).await?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.signed_up_at, row.id)));
    let (mut purposes, mut pending_sign_ups) = (BTreeSet::new(), Vec::new());
    for sign_up in rows {
        let mut choices = Vec::new();
        for choice in parse_choices(&sign_up.choices)? {
            let purpose = query.policy.purpose(&choice.purpose);
            if purpose.is_none_or(|purpose| purpose.grounds != Grounds::Consent)
                || !purposes.insert(choice.purpose.clone())
            {
                continue;
            }
            let (key, since) = (&sign_up.address_key, sign_up.signed_up_at);
            if !is_blocked(connection, query.installation_keys, query.policy, key, &choice.purpose, since)
                .await?
            {
                choices.push(choice);
            }
        }
        if !choices.is_empty() {
            pending_sign_ups.push(PendingSignUp { sign_up, choices });
        }
    }
    pending_sign_ups.reverse();
    Ok(pending_sign_ups)
}

fn invalid_choices(_: serde_json::Error) -> Error {
    Error::internal("the choices of a sign-up cannot be read or written")
}

/// Parses the choices of a row.
///
/// # Errors
/// `INTERNAL` for an invalid list.
pub(super) fn parse_choices(choices: &str) -> Result<Vec<StoredChoice>, Error> {
    serde_json::from_str(choices).map_err(invalid_choices)
}

/// The choices as JSON for a row.
///
/// # Errors
/// `INTERNAL` if they cannot be written.
pub(super) fn choices_json(choices: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(choices).map_err(invalid_choices)
}

/// Removes the answered purposes from every sign-up that the link could open, including its own, and returns the
/// ids of those without remaining choices.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn remove_choices(
    tx: &Transaction,
    of: (&link::Model, &sign_up::Model),
    answered: &BTreeSet<&str>,
) -> Result<Vec<Uuid>, Error> {
    let texts = sign_up::Entity::find().select_only().column(sign_up::Column::Choices).distinct();
    let texts: Vec<String> = texts.filter(same_person(of)).into_tuple().all(tx.connection()).await?;
    let mut finished = Vec::new();
    for text in texts {
        let all = parse_choices(&text)?;
        let remaining: Vec<&StoredChoice> =
            all.iter().filter(|choice| !answered.contains(choice.purpose.as_str())).collect();
        if remaining.is_empty() {
            finished.push(text);
        } else if remaining.len() < all.len() {
            sign_up::Entity::update_many()
                .col_expr(sign_up::Column::Choices, Expr::value(choices_json(&remaining)?))
                .filter(same_person(of))
                .filter(sign_up::Column::Choices.eq(text))
                .exec(tx.connection())
                .await?;
        }
    }
    let ids = sign_up::Entity::find().select_only().column(sign_up::Column::Id);
    let ids = ids.filter(same_person(of)).filter(sign_up::Column::Choices.is_in(finished));
    Ok(ids.into_tuple().all(tx.connection()).await?)
}

/// When a new sign-up of the mailbox is mailed, and when its link expires. One mail of a kind per interval is the
/// limit, so that nobody's mailbox is flooded, but nothing is lost: while a link mailed for the same name is open
/// long enough, or will be, it shows the new choices too; otherwise, because it was used or has expired, the mail
/// waits until the interval is over.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn schedule(
    tx: &Transaction,
    pages: &PublicPages,
    installation_keys: &InstallationKeys,
    new: &sign_up::Model,
) -> Result<(SendTime, DateTime<Utc>), Error> {
    let recent =
        mail_outbox::recent_mails(tx, pages, installation_keys, &new.address_key, LinkKind::Confirm)?;
    let recent = recent.select_only().column(mail::Column::LinkId).into_query();
    let of_recent = link::Entity::find().filter(link::Column::Id.in_subquery(recent));
    let links = of_recent.clone().all(tx.connection()).await?;
    // By a subquery over links: a list of ids would reveal by its length what is known about the mailbox.
    let sign_ups = of_recent.select_only().column(link::Column::SignUpId).into_query();
    let same = sign_up::Entity::find().select_only().column(sign_up::Column::Id).filter(by_name(new));
    let same = same.filter(sign_up::Column::Id.in_subquery(sign_ups));
    let same: Vec<Uuid> = same.into_tuple().all(tx.connection()).await?;
    // Done whatever the links say, so that every sign-up takes the same steps.
    let next = mail_outbox::next_send_time(tx, pages, installation_keys, &new.address_key, LinkKind::Confirm)
        .await?;
    let long_enough = tx.now() + pages.confirm_time() / 2;
    let open = links.iter().filter(|link| {
        link.used_at.is_none()
            && link.sign_up_id.is_some_and(|id| same.contains(&id))
            && link.contact_id == new.contact_id
            && link.expires_at >= long_enough
    });
    if let Some(open) = open.max_by_key(|link| link.expires_at) {
        return Ok((SendTime::Never(NotSentReason::TooSoon), open.expires_at));
    }
    Ok((SendTime::At(next), next + pages.confirm_time()))
}
