//! The person's own answer by a mailed link: a sign-up confirmed, or a consent renewed; once. Room: domain/signups.

use std::collections::BTreeSet;

use entity::{
    consent_text, contact,
    enums::{ConsentEventKind, LinkKind},
    link, mail, sign_up,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use super::{
    answers::{Answered, act_as, close, hold, is_open, lock, mail_of, usable},
    offers::{self, Offer, Pending, Shown},
    owners::owner,
    renewed::{renewed, renewing},
    waiting::{self, Looking, Waiting},
};
use crate::domain::signups::{cleanup, validation::blocked};
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

/// What the link `token` asks; none for one that is unknown, used or has ended alike.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn pending(app: &App, token: &str) -> Result<Option<Pending>, Error> {
    match usable(&app.db.reader, token, app.now()).await? {
        Some(link) => asked(app, &link).await,
        None => Ok(None),
    }
}

/// Codes of the purposes that the link asks about now; none where it would open nothing, so that no mail is to lead to it.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn asks(app: &App, link: &link::Model) -> Result<Vec<String>, Error> {
    if !is_open(link, app.now()) {
        return Ok(Vec::new());
    }
    let asked = asked(app, link).await?;
    Ok(asked.into_iter().flat_map(|pending| pending.offers).map(|offer| offer.purpose).collect())
}

async fn asked(app: &App, link: &link::Model) -> Result<Option<Pending>, Error> {
    let (db, policy, ring) =
        (&app.db.reader, app.policy.current(), audit::existing_installation_keys(app).await?);
    let offers = match link.kind {
        LinkKind::Confirm => {
            let looking =
                Looking { policy: &policy, ring: (ring, &app.reader), now: app.now(), locked: false };
            let Some(own) = signed_up(db, link).await? else { return Ok(None) };
            offers(db, &waiting::of(db, &looking, (link, &own)).await?).await?
        }
        LinkKind::Renew => {
            let Some(renewing) = renewing(db, link).await? else { return Ok(None) };
            let (purpose, since) = (&renewing.consent.purpose_code, link.created_at);
            if blocked(db, (ring, &app.reader), &policy, &link.address_key, purpose, since).await? {
                return Ok(None);
            }
            vec![renewing.offer()]
        }
        LinkKind::Fresh => return Ok(None),
    };
    let pending = Pending { offers, expires_at: link.expires_at, kind: link.kind };
    Ok(Some(pending).filter(|pending| !pending.offers.is_empty()))
}

/// What waits with its texts.
async fn offers<C: ConnectionTrait>(connection: &C, waiting: &[Waiting]) -> Result<Vec<Offer>, Error> {
    let ids = waiting.iter().flat_map(|waiting| &waiting.choices).map(|choice| choice.text);
    let texts =
        consent_text::Entity::find().filter(consent_text::Column::Id.is_in(ids)).all(connection).await?;
    let mut offers = Vec::new();
    for Waiting { sign_up, choices } in waiting {
        for choice in choices {
            let text = texts.iter().find(|text| text.id == choice.text);
            let text = text.ok_or_else(|| Error::internal("the text of a sign-up"))?;
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

/// Confirms or renews everything that the link `token` asks, in the name of the person whose link it is, and gives the contact: once.
/// None for a link that is unknown, used or has ended alike.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`.
pub async fn confirm(app: &App, token: &str, request_id: &str) -> Result<Option<Uuid>, Error> {
    Ok(match confirm_shown(app, token, Shown::All, request_id).await? {
        Answered::Done(contact) => Some(contact),
        Answered::Changed | Answered::Closed => None,
    })
}

/// Confirms or renews of what the link asks that which was shown, if it still waits just so: nobody declares what was not read. What
/// else waits goes on to wait for the same link.
///
/// # Errors
/// As [`confirm`].
pub async fn confirm_shown(
    app: &App,
    token: &str,
    shown: Shown<'_>,
    request_id: &str,
) -> Result<Answered, Error> {
    // What is no link opens no transaction.
    if usable(&app.db.reader, token, app.now()).await?.is_none() {
        return Ok(Answered::Closed);
    }
    audit::with_retry(|| once(app, token, shown, request_id)).await
}

async fn once(app: &App, token: &str, shown: Shown<'_>, request_id: &str) -> Result<Answered, Error> {
    let author = Author {
        request_id: Some(request_id.to_owned()),
        ..Author::command(app, "page", Some(&app.pages.purpose))
    };
    let mut tx = audit::begin(app, author).await?;
    // Whose link it is decides what is locked first; it is looked at again behind the locks.
    let Some(link) = usable(tx.connection(), token, tx.now()).await? else { return Ok(Answered::Closed) };
    let answered = match link.kind {
        LinkKind::Confirm => confirmed(&mut tx, app, &link, shown, request_id).await?,
        LinkKind::Renew => renewed(&mut tx, app, &link, shown, request_id).await?,
        LinkKind::Fresh => Answered::Closed,
    };
    if matches!(answered, Answered::Done(_)) {
        tx.commit().await?;
    }
    Ok(answered)
}

async fn signed_up<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<sign_up::Model>, Error> {
    let Some(id) = link.sign_up_id else { return Ok(None) };
    Ok(sign_up::Entity::find_by_id(id).one(connection).await?)
}

/// What a link to confirm comes to, decided behind its locks.
struct Settled {
    id: Uuid,
    actor: Actor,
    link: link::Model,
    /// The sign-up that the link was mailed for.
    own: sign_up::Model,
    /// The contact, locked; none where there is none yet.
    contact: Option<contact::Model>,
    waiting: Vec<Waiting>,
}

/// Takes the locks, mailbox before contact before link before sign-ups, and decides behind them everything that they protect: whether the link is open,
/// whose it is, what waits, and what was ended since. None where nothing is left to be confirmed.
async fn settle(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    request_id: &str,
) -> Result<Option<Settled>, Error> {
    let Some(own) = signed_up(tx.connection(), link).await? else { return Ok(None) };
    // First of all the mailbox: a no about it comes before or after, and of two who confirm for one new mailbox the second finds the
    // contact that the first has made.
    let mailboxes = app.reader.emails(&own.address).identities;
    tx.lock_identities(mailboxes.iter().map(Identity::lock), audit::LockMode::Exclusive).await?;
    let known = owner(tx, &own).await?;
    let id = known.unwrap_or_else(|| tx.new_subject());
    let actor = act_as(tx, app, id, request_id)?;
    let contact = match known {
        Some(id) => {
            let Some(contact) = lock(tx, &actor, id).await? else { return Ok(None) };
            if contact.email_key.as_ref() != Some(&own.address_key) {
                // The address became another until the lock was had.
                return Ok(None);
            }
            if owner(tx, &own).await? != Some(id) {
                // Its name did: the next attempt finds whose it is.
                return Err(Error::repeat());
            }
            Some(contact)
        }
        None => None,
    };
    let Some(link) = hold(tx, link).await? else { return Ok(None) };
    let ring = tx.existing_installation_keys().await?;
    let looking =
        Looking { policy: &actor.policy, ring: (ring.as_ref(), &app.reader), now: tx.now(), locked: true };
    let waiting = waiting::of(tx.connection(), &looking, (&link, &own)).await?;
    Ok(Some(Settled { id, actor, link, own, contact, waiting }).filter(|settled| !settled.waiting.is_empty()))
}

/// Makes consents of what the person signed up to. What was withdrawn or objected to since the sign-up counts no more: this is the
/// newer declaration.
async fn confirmed(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    shown: Shown<'_>,
    request_id: &str,
) -> Result<Answered, Error> {
    let Some(settled) = settle(tx, app, link, request_id).await? else { return Ok(Answered::Closed) };
    let Settled { id, actor, link, own, contact, waiting } = settled;
    let Some(meant) = meant(tx.connection(), &waiting, &own, shown).await? else {
        return Ok(Answered::Changed);
    };
    let (meant, rest): (Vec<Waiting>, Vec<Waiting>) =
        waiting.into_iter().partition(|waiting| meant.contains(&waiting.sign_up.id));
    let Some(first) = meant.first() else { return Ok(Answered::Changed) };
    let contact = match contact {
        Some(contact) => contact,
        None => {
            make_contact(tx, id, &first.sign_up).await?;
            let Some(contact) = lock(tx, &actor, id).await? else { return Ok(Answered::Closed) };
            contact
        }
    };
    let mail = mail_of(tx.connection(), &link).await?;
    for Waiting { sign_up, choices } in &meant {
        for choice in choices {
            let asked = OptInRequest {
                purpose: &choice.purpose,
                text: choice.text,
                source: &sign_up.source,
                address: &sign_up.address,
                address_key: &sign_up.address_key,
            };
            consents::request_opt_in(tx, "requestConsent", &contact, &asked, Some(sign_up.signed_up_at))
                .await?;
            let mail = mail.as_ref().map(|mail| mail.id);
            consents::confirm_opt_in(tx, &actor, &contact, &asked, ConsentEventKind::Confirmed, mail).await?;
        }
    }
    forget(tx, (&link, &own), id, (&meant, &rest), mail.as_ref()).await?;
    Ok(Answered::Done(id))
}

/// The sign-ups that the person means; none where what it has seen is not what waits.
async fn meant<C: ConnectionTrait>(
    connection: &C,
    waiting: &[Waiting],
    own: &sign_up::Model,
    shown: Shown<'_>,
) -> Result<Option<BTreeSet<Uuid>>, Error> {
    let all = || waiting.iter().map(|waiting| waiting.sign_up.id).collect();
    Ok(match shown {
        Shown::All => Some(all()),
        Shown::Own => {
            let own = waiting::read(&own.choices)?;
            waiting.iter().all(|waiting| waiting.choices.iter().all(|choice| own.contains(choice))).then(all)
        }
        Shown::Mark(mark) => {
            let offers = offers(connection, waiting).await?;
            let sets = offers::sets(&offers);
            let set = sets.into_iter().find(|(_, known)| known == mark);
            if mark == offers::mark(&offers) {
                Some(all())
            } else {
                set.map(|(set, _)| BTreeSet::from([set]))
            }
        }
    })
}

async fn make_contact(tx: &mut Transaction, id: Uuid, sign_up: &sign_up::Model) -> Result<(), Error> {
    let given = |name: &str| match name {
        "email" => Some(sign_up.address.clone()),
        "givenName" => sign_up.given_name.clone(),
        "familyName" => sign_up.family_name.clone(),
        "language" => Some(sign_up.language.clone()),
        _ => None,
    };
    let values: Values =
        CONTACT.writable_fields().filter_map(|(field, _)| Some((field, given(field.name)?))).collect();
    let source = Source {
        name: sign_up.source.clone(),
        collected_at: Some(sign_up.signed_up_at),
        informed_at: sign_up.notice_version.as_ref().map(|_| sign_up.signed_up_at),
        notice_version: sign_up.notice_version.clone(),
    };
    operations::create_contact_of_sign_up(tx, id, &values, &source).await
}

/// Deletes what was confirmed: all of it stands in the events now. What was signed up to besides goes on to wait for the same link.
async fn forget(
    tx: &mut Transaction,
    (link, own): (&link::Model, &sign_up::Model),
    contact: Uuid,
    (meant, rest): (&[Waiting], &[Waiting]),
    mail: Option<&mail::Model>,
) -> Result<(), Error> {
    let answered = meant.iter().flat_map(|waiting| &waiting.choices).map(|choice| choice.purpose.as_str());
    let done = waiting::take_out(tx, (link, own), &answered.collect()).await?;
    match rest.first() {
        Some(next) => {
            link::Entity::update_many()
                .col_expr(link::Column::SignUpId, Expr::value(next.sign_up.id))
                .filter(link::Column::Id.eq(link.id))
                .exec(tx.connection())
                .await?;
        }
        None => close(tx, link, contact).await?,
    }
    cleanup::settled(tx, link, &done).await?;
    if let Some(mail) = mail {
        mail::Entity::update_many()
            .col_expr(mail::Column::ContactId, Expr::value(contact))
            .filter(mail::Column::Id.eq(mail.id))
            .exec(tx.connection())
            .await?;
    }
    for Waiting { sign_up, .. } in meant {
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
