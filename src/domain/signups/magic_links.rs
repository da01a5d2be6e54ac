//! Magic links: whoever reads a mailbox is mailed a link that opens the stored data for a short time.
//! Room: domain/signups.

use entity::{contact, enums::LinkKind};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Link, mailboxes, make_link};
use crate::domain::signups::validation::{self, visible_contacts};
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry},
    base::error::Error,
    domain::mail_outbox::{self, NewMail, NotSentReason, SendTime},
    registry::DataCategory,
};

/// Sends a magic link to `address` if a contact has it; nothing reveals whether one does.
///
/// # Errors
/// `BAD_USER_INPUT` for an invalid address; `INTERNAL` from the database.
pub async fn send_magic_link(
    app: &App,
    address: &str,
    language: &str,
    request_id: &str,
) -> Result<(), Error> {
    let address_key = app.identity_reader.email_key(&validation::address(address, app.now())?);
    let recipient = || Recipient::Address(&address_key);
    audit::with_retry(|| send(app, recipient(), Some(language), request_id)).await
}

/// Sends a magic link to the contact's own address, in the contact's language by default.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn send_magic_link_to_contact(
    app: &App,
    contact: Uuid,
    language: Option<&str>,
    request_id: &str,
) -> Result<(), Error> {
    audit::with_retry(|| send(app, Recipient::Contact(contact), language, request_id)).await
}

/// Whom the link is for.
enum Recipient<'a> {
    Address(&'a str),
    Contact(Uuid),
}

async fn send(
    app: &App,
    recipient: Recipient<'_>,
    language: Option<&str>,
    request_id: &str,
) -> Result<(), Error> {
    let author = Author {
        request_id: Some(request_id.to_owned()),
        ..Author::command(app, "page", Some(&app.pages.purpose))
    };
    let mut tx = audit::begin(app, author).await?;
    let found = match recipient {
        Recipient::Address(key) => visible_contacts().filter(contact::Column::EmailKey.eq(key)),
        Recipient::Contact(id) => visible_contacts().filter(contact::Column::Id.eq(id)),
    };
    let found = found.order_by_asc(contact::Column::CreatedAt).order_by_asc(contact::Column::Id).limit(1);
    let found = found.one(tx.connection()).await?;
    // Nothing is stored about an address that nobody has.
    let (recipient, key, own_language) = match &found {
        Some(contact) => {
            (contact.email.as_deref(), contact.email_key.as_deref(), contact.language.as_deref())
        }
        None => (None, None, None),
    };
    let (recipient, key) = (recipient.unwrap_or_default(), key.unwrap_or_default());
    let contact_id = found.as_ref().map(|contact| contact.id);
    // For a mailbox of several records the link belongs to none: it opens one once it is known whose it is.
    let is_shared = mailboxes::is_shared(tx.connection(), key, contact_id).await?;
    let contact_id = contact_id.filter(|_| !is_shared);
    let installation_keys = tx.installation_keys().await?;
    let ends = tx.now() + app.pages.magic_link_time();
    let link = Link { contact_id, ..Link::new(LinkKind::Fresh) };
    let link_id = make_link(&mut tx, &installation_keys, &link, key, ends).await?;
    let mail = NewMail {
        link_id,
        kind: LinkKind::Fresh,
        contact_id,
        recipient,
        address_key: key,
        language: language.or(own_language).unwrap_or(&app.pages.language),
        purposes: &[],
    };
    // Done for unknown addresses too, so that both cases take the same steps.
    let send_time = mail_outbox::send_time(&tx, &app.pages, &installation_keys, key, LinkKind::Fresh).await?;
    let send_time = if key.is_empty() { SendTime::Never(NotSentReason::Nobody) } else { send_time };
    mail_outbox::queue(&mut tx, &app.pages, &installation_keys, &mail, send_time).await?;
    let changes = ChangeSet::single(
        "Link.expiresAt",
        DataCategory::Technical,
        serde_json::Value::Null,
        ends.to_rfc3339().into(),
    );
    // The entry is about the link only, which names the contact: sealing for a person takes other statements than
    // for nobody.
    tx.record(Entry {
        action: "askFreshLink",
        entity_type: "Link",
        entity_id: Some(link_id),
        contact_id: None,
        changes,
    })
    .await?;
    tx.commit().await
}
