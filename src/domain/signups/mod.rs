//! Sign-ups: a requested consent takes effect once the person confirms it by a mailed link (double opt-in).
//! Room: domain/signups.
//!
//! A sign-up is processed in the same way whether or not the address is known, and reveals nothing about it. Until
//! it is confirmed, nothing is stored about the person but the sign-up itself, which is deleted after a while.
//!
//! A sign-up, its link and its mail are written in one transaction, by the same statements whatever is known; a
//! mail that must not be sent is stored as given up. A confirmation link opens every pending sign-up of its mailbox
//! (`domain/signups/pending_sign_ups.rs`): one made while the link is open joins it; one made after it was used
//! gets a mail once the mail interval is over. The answer carries a mark of what was shown, so that nobody declares
//! what they have not read. Only the hash of a link is stored: its token is made again from the row id when the
//! mail is sent. Senders follow the clock and nothing wakes them, so that the work after a request reveals nothing.
//! A sender leases a mail by a conditional update and records the attempt before it makes it; after a crash the
//! lease ends and the same mail is sent again, with the same Message-ID. The person's answer locks contact, link
//! and sign-ups, in this order, and decides under the locks; it counts once, and is written in the person's name
//! (`subject:<contact>`). Background work (`jobs`) may be repeated and may run on several servers.

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

/// Stores a sign-up and queues the mail by which the person confirms it. The outcome reveals nothing about whether
/// the address is known, or has withdrawn or objected since: then no mail is sent. If the mailbox got one recently,
/// that link opens this sign-up too, or the mail goes later: see `pending_sign_ups::schedule`.
///
/// # Errors
/// `CONFLICT` if mails are disabled, and for a known contact that has withdrawn or objected since; `BAD_USER_INPUT`
/// with the path of the invalid value.
pub async fn sign_up(tx: &mut Transaction, app: &App, new: &SignUp) -> Result<(), Error> {
    write(tx, app, new, "signUp").await.map(|_| ())
}

/// As [`sign_up`], recorded as `action`; returns the accepted texts.
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

/// The target of a link.
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

/// Creates a link for a mailbox; only the hash of its token is stored.
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
