//! Sign-ups: what a person asks for becomes a consent once the person confirms it by a mailed link. Room: domain/signups.
//!
//! A sign-up is done the same way whether the address is known or not, and says nothing of it. Until it is confirmed nothing is
//! written of the person but the sign-up itself, which is deleted after a while.
//!
//! A sign-up, its link and its mail are written in one transaction, by the same statements whatever is known; what must
//! not be sent is written as given up. A link to confirm opens every sign-up of its mailbox
//! that waits (`domain/signups/waiting.rs`): one that comes while it is open joins it, one that comes after it was
//! used gets a mail when the time of the last is over. What was shown goes along with the answer as a mark, so that
//! nobody declares what was not read. Of a link the hash alone is kept: the token is made again from the id of its
//! row when the mail is sent. Senders follow the clock and are woken by nobody, so that what follows a request tells
//! nothing. A sender leases a mail by one conditional update and records the attempt before it makes it; after a
//! crash the lease ends and the same mail goes again, with the same Message-ID. The person's answer locks contact,
//! link and sign-ups, in this order, and decides behind the locks; it counts once, and is written in the person's
//! name (`subject:<contact>`). Background work (`jobs`) may be repeated and may run on several servers.

mod choices;
mod cleanup;
mod confirm;
mod link_access;
mod magic_links;
mod mailboxes;
mod offers;
mod owners;
mod pending_sign_ups;
mod renewal_links;
mod renewal_requests;
mod third_party;
mod validation;

use chrono::{DateTime, Utc};
use entity::{enums::LinkKind, link, sign_up};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use uuid::Uuid;

pub use choices::{Choice, SignUp};
pub use cleanup::delete_expired;
pub use confirm::{confirm, confirm_if_shown, pending, requested_purposes};
pub use link_access::LinkOutcome;
pub use magic_links::{send_magic_link, send_magic_link_to_contact};
pub use mailboxes::{
    MagicLinkTarget, RecordAttempt, SharedMailbox, open_magic_link, open_record, records_of_mailbox,
};
pub use offers::{Offer, Pending, ShownOffers};
pub use renewal_requests::request_renewals;
pub use third_party::{ConsentRequest, request_consent};

use crate::{
    app::App,
    audit::{ChangeSet, Entry, Transaction},
    base::error::{Code, Error},
    crypto::{installation_keys::InstallationKeys, link_tokens},
    domain::mail_outbox::{self, NewMail, NotSentReason, SendTime},
    registry::DataCategory,
};
use choices::StoredChoice;

/// Keeps a sign-up and queues the mail by which the person confirms it. It says nothing about whether the address is known, or has
/// withdrawn or objected since: no mail is sent then. Where the mailbox got one a short while ago, the link of that one opens this
/// sign-up too, or its mail goes later: see `waiting::turn`.
///
/// # Errors
/// `CONFLICT` where no mails are sent, and of a known contact where it has withdrawn or objected since; `BAD_USER_INPUT` with the
/// place of what cannot be.
pub async fn sign_up(tx: &mut Transaction, app: &App, new: &SignUp) -> Result<(), Error> {
    write(tx, app, new, "signUp").await.map(|_| ())
}

/// The same, recorded as `action`; gives the texts that were declared to.
async fn write(
    tx: &mut Transaction,
    app: &App,
    new: &SignUp,
    action: &'static str,
) -> Result<Vec<StoredChoice>, Error> {
    let policy = app.policy.current();
    let checked = validation::check(tx, app, &policy, new).await?;
    let address_key = tx.reader().email_key(&checked.address);
    let (mut open, keys) = (Vec::new(), tx.existing_installation_keys().await?);
    for choice in &checked.choices {
        let since = new.signed_up_at;
        if !validation::is_blocked(
            tx.connection(),
            (keys.as_ref(), tx.reader()),
            &policy,
            &address_key,
            &choice.purpose,
            since,
        )
        .await?
        {
            open.push(choice.clone());
        }
    }
    if new.contact_id.is_some() && open.len() < checked.choices.len() {
        let message = "the person has withdrawn, refused or objected since; only a newer sign-up counts";
        return Err(Error::new(Code::Conflict, message).with_input_path("input.declaredAt"));
    }
    let is_blocked = open.is_empty();
    let stored = if is_blocked { &checked.choices } else { &open };
    let row = sign_up::Model {
        id: tx.new_subject(),
        contact_id: new.contact_id,
        address: checked.address,
        address_key,
        given_name: checked.given_name,
        family_name: checked.family_name,
        language: checked.language,
        source: checked.source,
        recorded_by: tx.author().actor.clone(),
        choices: pending_sign_ups::choices_json(stored)?,
        notice_version: checked.notice_version,
        signed_up_at: new.signed_up_at,
        created_at: tx.now(),
    };
    sign_up::Entity::insert(row.clone().into_active_model().reset_all())
        .exec_without_returning(tx.connection())
        .await?;
    let installation_keys = tx.installation_keys().await?;
    let (schedule, ends) = pending_sign_ups::schedule(tx, &app.pages, &installation_keys, &row).await?;
    let schedule = if is_blocked { SendTime::Never(NotSentReason::EndedSince) } else { schedule };
    let link = Link { contact_id: row.contact_id, sign_up_id: Some(row.id), ..Link::new(LinkKind::Confirm) };
    let link_id = make_link(tx, &installation_keys, &link, &row.address_key, ends).await?;
    let purposes: Vec<String> = stored.iter().map(|choice| choice.purpose.clone()).collect();
    let mail = NewMail {
        link_id,
        kind: LinkKind::Confirm,
        contact_id: row.contact_id,
        recipient: &row.address,
        address_key: &row.address_key,
        language: &row.language,
        purposes: &purposes,
    };
    mail_outbox::queue(tx, &app.pages, &installation_keys, &mail, schedule).await?;
    let changes =
        ChangeSet::single("SignUp.purposes", DataCategory::Consent, serde_json::Value::Null, purposes.into());
    tx.record(Entry {
        action,
        entity_type: "SignUp",
        entity_id: Some(row.id),
        contact_id: row.contact_id,
        changes,
    })
    .await?;
    Ok(checked.choices)
}

/// What a link leads to.
struct Link {
    kind: LinkKind,
    sign_up_id: Option<Uuid>,
    contact_id: Option<Uuid>,
    consent_id: Option<Uuid>,
    text_id: Option<Uuid>,
}

impl Link {
    fn new(kind: LinkKind) -> Self {
        Self { kind, sign_up_id: None, contact_id: None, consent_id: None, text_id: None }
    }
}

/// Makes a link for a mailbox, of which only the hash of its token is kept.
async fn make_link(
    tx: &mut Transaction,
    installation_keys: &InstallationKeys,
    to: &Link,
    address_key: &str,
    expires_at: DateTime<Utc>,
) -> Result<Uuid, Error> {
    let id = tx.new_subject();
    let row = link::Model {
        id,
        kind: to.kind,
        token_hash: link_tokens::hash(&link_tokens::one_time_token(installation_keys, id)?),
        sign_up_id: to.sign_up_id,
        contact_id: to.contact_id,
        consent_id: to.consent_id,
        consent_text_id: to.text_id,
        address_key: address_key.to_owned(),
        created_at: tx.now(),
        expires_at,
        used_at: None,
        opened_id: None,
        tries: 0,
    };
    link::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.connection()).await?;
    Ok(id)
}
