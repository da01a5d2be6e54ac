//! Confirms sign-ups and renewals by the person's own answer to a mailed link; once. Room: domain/signups.

use std::collections::BTreeSet;

use entity::{
    consent_text, contact,
    enums::{ConsentEventKind, LinkKind},
    link, mail, sign_up,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{
    link_access::{
        LinkOutcome, act_as, find_usable, is_open, lock_contact, lock_if_open, mail_of, mark_used,
    },
    offers::{self, Offer, Pending, ShownOffers},
    owners::owner,
    pending_sign_ups::{self, PendingQuery, PendingSignUp},
    renewal_links::{confirm_renewal, find_renewal},
};
use crate::domain::signups::{cleanup, validation::is_blocked};
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::{error::Error, identities::Identity},
    domain::{
        consents::{self, OptInRequest},
        contacts::{Source, Values},
        operations,
    },
    registry::{CONTACT, DataCategory},
};

/// What the link `token` asks for; `None` equally for an unknown, used or expired one.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn pending(app: &App, token: &str) -> Result<Option<Pending>, Error> {
    match find_usable(&app.db.reader, token, app.now()).await? {
        Some(link) => pending_for_link(app, &link).await,
        None => Ok(None),
    }
}

/// Codes of the purposes that the link asks about now; empty if it would open nothing, so that no mail leads to it.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn requested_purposes(app: &App, link: &link::Model) -> Result<Vec<String>, Error> {
    if !is_open(link, app.now()) {
        return Ok(Vec::new());
    }
    let pending = pending_for_link(app, link).await?;
    Ok(pending.into_iter().flat_map(|pending| pending.offers).map(|offer| offer.purpose).collect())
}

async fn pending_for_link(app: &App, link: &link::Model) -> Result<Option<Pending>, Error> {
    let (db, policy, installation_keys) =
        (&app.db.reader, app.policy.current(), audit::existing_installation_keys(app).await?);
    let offers = match link.kind {
        LinkKind::Confirm => {
            let query = PendingQuery {
                policy: &policy,
                installation_keys: (installation_keys, &app.identity_reader),
                now: app.now(),
                locked: false,
            };
            let Some(linked_sign_up) = sign_up_of(db, link).await? else { return Ok(None) };
            offers(db, &pending_sign_ups::load(db, &query, (link, &linked_sign_up)).await?).await?
        }
        LinkKind::Renew => {
            let Some(renewal) = find_renewal(db, link).await? else { return Ok(None) };
            let (purpose, since) = (&renewal.consent.purpose_code, link.created_at);
            if is_blocked(
                db,
                (installation_keys, &app.identity_reader),
                &policy,
                &link.address_key,
                purpose,
                since,
            )
            .await?
            {
                return Ok(None);
            }
            vec![renewal.offer()]
        }
        LinkKind::Fresh => return Ok(None),
    };
    let pending = Pending { offers, expires_at: link.expires_at, kind: link.kind };
    Ok(Some(pending).filter(|pending| !pending.offers.is_empty()))
}

/// The pending declarations with their texts.
async fn offers<C: ConnectionTrait>(
    connection: &C,
    pending_sign_ups: &[PendingSignUp],
) -> Result<Vec<Offer>, Error> {
    let ids = pending_sign_ups.iter().flat_map(|pending| &pending.choices).map(|choice| choice.text);
    let texts =
        consent_text::Entity::find().filter(consent_text::Column::Id.is_in(ids)).all(connection).await?;
    let mut offers = Vec::new();
    for PendingSignUp { sign_up, choices } in pending_sign_ups {
        for choice in choices {
            let text = texts.iter().find(|text| text.id == choice.text);
            let text = text.ok_or_else(|| Error::internal("the text of a sign-up is missing"))?;
            offers.push(Offer {
                set: sign_up.id,
                purpose: choice.purpose.clone(),
                text: text.text.clone(),
                language: text.language.clone(),
                version: text.version.clone(),
                signed_up_at: Some(sign_up.signed_up_at),
            });
        }
    }
    Ok(offers)
}

/// Confirms or renews everything that the link `token` asks for, in the name of the person, and returns the
/// contact: once. `None` equally for an unknown, used or expired link.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`.
pub async fn confirm(app: &App, token: &str, request_id: &str) -> Result<Option<Uuid>, Error> {
    Ok(match confirm_if_shown(app, token, ShownOffers::All, request_id).await? {
        LinkOutcome::Done(contact) => Some(contact),
        LinkOutcome::Changed | LinkOutcome::Closed => None,
    })
}

/// Confirms or renews what was shown, if exactly that is still pending: nobody declares what they have not read.
/// Everything else stays pending for the same link.
///
/// # Errors
/// As [`confirm`].
pub async fn confirm_if_shown(
    app: &App,
    token: &str,
    shown: ShownOffers<'_>,
    request_id: &str,
) -> Result<LinkOutcome, Error> {
    // Other tokens open no transaction.
    if find_usable(&app.db.reader, token, app.now()).await?.is_none() {
        return Ok(LinkOutcome::Closed);
    }
    audit::with_retry(|| confirm_once(app, token, shown, request_id)).await
}

async fn confirm_once(
    app: &App,
    token: &str,
    shown: ShownOffers<'_>,
    request_id: &str,
) -> Result<LinkOutcome, Error> {
    let author = Author {
        request_id: Some(request_id.to_owned()),
        ..Author::command(app, "page", Some(&app.pages.purpose))
    };
    let mut tx = audit::begin(app, author).await?;
    // The link's owner determines the first lock; it is checked again under the locks.
    let Some(link) = find_usable(tx.connection(), token, tx.now()).await? else {
        return Ok(LinkOutcome::Closed);
    };
    let outcome = match link.kind {
        LinkKind::Confirm => confirm_sign_up(&mut tx, app, &link, shown, request_id).await?,
        LinkKind::Renew => confirm_renewal(&mut tx, app, &link, shown, request_id).await?,
        LinkKind::Fresh => LinkOutcome::Closed,
    };
    if matches!(outcome, LinkOutcome::Done(_)) {
        tx.commit().await?;
    }
    Ok(outcome)
}

async fn sign_up_of<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<sign_up::Model>, Error> {
    let Some(id) = link.sign_up_id else { return Ok(None) };
    Ok(sign_up::Entity::find_by_id(id).one(connection).await?)
}

/// A confirmation link, read under its locks.
struct LockedSignUp {
    id: Uuid,
    actor: Actor,
    link: link::Model,
    /// The sign-up that the link was mailed for.
    linked_sign_up: sign_up::Model,
    /// The locked contact; `None` if it is yet to be created.
    contact: Option<contact::Model>,
    pending_sign_ups: Vec<PendingSignUp>,
}

/// Takes the locks - mailbox, contact, link, sign-ups, in this order - and reads everything they protect: whether
/// the link is open, whose it is, what is pending, and what was ended since. `None` if nothing is left to confirm.
async fn lock_sign_up(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    request_id: &str,
) -> Result<Option<LockedSignUp>, Error> {
    let Some(linked_sign_up) = sign_up_of(tx.connection(), link).await? else { return Ok(None) };
    // The mailbox first: an opt-out about it comes before or after, and of two confirmations for one new mailbox
    // the second finds the contact that the first has created.
    let mailboxes = app.identity_reader.emails(&linked_sign_up.address).identities;
    tx.lock_identities(mailboxes.iter().map(Identity::lock), audit::LockMode::Exclusive).await?;
    let existing_id = owner(tx, &linked_sign_up).await?;
    let id = existing_id.unwrap_or_else(|| tx.new_subject());
    let actor = act_as(tx, app, id, request_id)?;
    let contact = match existing_id {
        Some(id) => {
            let Some(contact) = lock_contact(tx, &actor, id).await? else { return Ok(None) };
            if contact.email_key.as_ref() != Some(&linked_sign_up.address_key) {
                // The address changed before the lock was granted.
                return Ok(None);
            }
            if owner(tx, &linked_sign_up).await? != Some(id) {
                // The name changed: the next attempt finds the owner.
                return Err(Error::retry());
            }
            Some(contact)
        }
        None => None,
    };
    let Some(link) = lock_if_open(tx, link).await? else { return Ok(None) };
    let installation_keys = tx.existing_installation_keys().await?;
    let query = PendingQuery {
        policy: &actor.policy,
        installation_keys: (installation_keys.as_ref(), &app.identity_reader),
        now: tx.now(),
        locked: true,
    };
    let pending_sign_ups = pending_sign_ups::load(tx.connection(), &query, (&link, &linked_sign_up)).await?;
    Ok(Some(LockedSignUp { id, actor, link, linked_sign_up, contact, pending_sign_ups })
        .filter(|locked_sign_up| !locked_sign_up.pending_sign_ups.is_empty()))
}

/// Records the consents that the person signed up for. Earlier withdrawals and objections no longer count: this is
/// the newer declaration.
async fn confirm_sign_up(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    shown: ShownOffers<'_>,
    request_id: &str,
) -> Result<LinkOutcome, Error> {
    let Some(locked_sign_up) = lock_sign_up(tx, app, link, request_id).await? else {
        return Ok(LinkOutcome::Closed);
    };
    let LockedSignUp { id, actor, link, linked_sign_up, contact, pending_sign_ups } = locked_sign_up;
    let Some(selected) =
        selected_sign_ups(tx.connection(), &pending_sign_ups, &linked_sign_up, shown).await?
    else {
        return Ok(LinkOutcome::Changed);
    };
    let (selected, rest): (Vec<PendingSignUp>, Vec<PendingSignUp>) =
        pending_sign_ups.into_iter().partition(|pending| selected.contains(&pending.sign_up.id));
    let Some(first) = selected.first() else { return Ok(LinkOutcome::Changed) };
    let contact = match contact {
        Some(contact) => contact,
        None => {
            create_contact(tx, id, &first.sign_up).await?;
            let Some(contact) = lock_contact(tx, &actor, id).await? else { return Ok(LinkOutcome::Closed) };
            contact
        }
    };
    let mail = mail_of(tx.connection(), &link).await?;
    for PendingSignUp { sign_up, choices } in &selected {
        for choice in choices {
            let pending = OptInRequest {
                purpose: &choice.purpose,
                text: choice.text,
                source: &sign_up.source,
                address: &sign_up.address,
                address_key: &sign_up.address_key,
            };
            consents::request_opt_in(tx, "requestConsent", &contact, &pending, Some(sign_up.signed_up_at))
                .await?;
            let mail = mail.as_ref().map(|mail| mail.id);
            consents::confirm_opt_in(tx, &actor, &contact, &pending, ConsentEventKind::Confirmed, mail)
                .await?;
        }
    }
    delete_confirmed(tx, (&link, &linked_sign_up), id, (&selected, &rest), mail.as_ref()).await?;
    Ok(LinkOutcome::Done(id))
}

/// The sign-ups that the person has confirmed; `None` if the pending ones are not those that were shown.
async fn selected_sign_ups<C: ConnectionTrait>(
    connection: &C,
    pending_sign_ups: &[PendingSignUp],
    linked_sign_up: &sign_up::Model,
    shown: ShownOffers<'_>,
) -> Result<Option<BTreeSet<Uuid>>, Error> {
    let all = || pending_sign_ups.iter().map(|pending| pending.sign_up.id).collect();
    Ok(match shown {
        ShownOffers::All => Some(all()),
        ShownOffers::Own => {
            let linked_choices = pending_sign_ups::parse_choices(&linked_sign_up.choices)?;
            pending_sign_ups
                .iter()
                .all(|pending| pending.choices.iter().all(|choice| linked_choices.contains(choice)))
                .then(all)
        }
        ShownOffers::Mark(mark) => {
            let offers = offers(connection, pending_sign_ups).await?;
            let sets = offers::sets(&offers);
            let set = sets.into_iter().find(|(_, existing_id)| existing_id == mark);
            if mark == offers::mark(&offers) {
                Some(all())
            } else {
                set.map(|(set, _)| BTreeSet::from([set]))
            }
        }
    })
}

async fn create_contact(tx: &mut Transaction, id: Uuid, sign_up: &sign_up::Model) -> Result<(), Error> {
    let value_of = |name: &str| match name {
        "email" => Some(sign_up.address.clone()),
        "givenName" => sign_up.given_name.clone(),
        "familyName" => sign_up.family_name.clone(),
        "language" => Some(sign_up.language.clone()),
        _ => None,
    };
    let values: Values =
        CONTACT.writable_fields().filter_map(|(field, _)| Some((field, value_of(field.name)?))).collect();
    let source = Source {
        name: sign_up.source.clone(),
        collected_at: Some(sign_up.signed_up_at),
        informed_at: sign_up.notice_version.as_ref().map(|_| sign_up.signed_up_at),
        notice_version: sign_up.notice_version.clone(),
    };
    operations::create_contact_of_sign_up(tx, id, &values, &source).await
}

/// Deletes confirmed sign-ups, which the events now contain. Others stay pending for the same link.
async fn delete_confirmed(
    tx: &mut Transaction,
    (link, linked_sign_up): (&link::Model, &sign_up::Model),
    contact: Uuid,
    (selected, rest): (&[PendingSignUp], &[PendingSignUp]),
    mail: Option<&mail::Model>,
) -> Result<(), Error> {
    let outcome = selected.iter().flat_map(|pending| &pending.choices).map(|choice| choice.purpose.as_str());
    let done = pending_sign_ups::remove_choices(tx, (link, linked_sign_up), &outcome.collect()).await?;
    match rest.first() {
        Some(next) => {
            link::Entity::update_many()
                .col_expr(link::Column::SignUpId, Expr::value(next.sign_up.id))
                .filter(link::Column::Id.eq(link.id))
                .exec(tx.connection())
                .await?;
        }
        None => mark_used(tx, link, contact).await?,
    }
    cleanup::delete_answered(tx, link, &done).await?;
    if let Some(mail) = mail {
        mail::Entity::update_many()
            .col_expr(mail::Column::ContactId, Expr::value(contact))
            .filter(mail::Column::Id.eq(mail.id))
            .exec(tx.connection())
            .await?;
    }
    for PendingSignUp { sign_up, .. } in selected {
        let changes = ChangeSet::single("SignUp.confirmed", DataCategory::Consent, false.into(), true.into());
        tx.record(Entry {
            action: "confirmSignUp",
            entity_type: "SignUp",
            entity_id: Some(sign_up.id),
            contact_id: Some(contact),
            changes,
        })
        .await?;
    }
    Ok(())
}
