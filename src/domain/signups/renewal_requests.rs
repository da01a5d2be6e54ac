//! Renewal mails: before a consent ends, the person is asked once whether it shall continue. Room: domain/signups.

use entity::{
    consent, contact,
    enums::{Channel, ConsentStatus, ContactState, LinkKind},
    link,
};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::Expr,
};
use uuid::Uuid;

use super::{Link, make_link};
use crate::domain::signups::validation::{find_text, is_blocked};
use crate::{
    app::App,
    audit::{self, Author, RowFailures},
    auth::{actor::Actor, credential::Credential},
    base::{error::Error, i18n::LANGUAGES},
    domain::{
        consents::{self, OptInRequest},
        mail_outbox::{self, NewMail, SendTime},
    },
    policy::Policy,
    registry::CONTACT,
};

/// Consents in one batch.
const BATCH_SIZE: u64 = 100;
/// The source of a renewal request.
const BY_MAIL: &str = "renewal mail";

/// Requests the renewal of consents whose review is due, if the purpose asks for it: by one mail for each time the
/// review is due. Returns the number of mails. Only the person's answer renews (Art. 7(1)).
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn request_renewals(app: &App) -> Result<u64, Error> {
    if !app.pages.enabled {
        return Ok(0);
    }
    let policy = app.policy.current();
    let purposes: Vec<&str> = policy
        .purposes()
        .iter()
        .filter(|purpose| purpose.asks_renewal)
        .map(|purpose| purpose.code.as_str())
        .collect();
    let (mut requested, mut after, mut failures) = (0, Uuid::nil(), RowFailures::default());
    loop {
        let ids: Vec<Uuid> = due_consents(app, &purposes)
            .select_only()
            .column(consent::Column::Id)
            .filter(consent::Column::Id.gt(after))
            .order_by_asc(consent::Column::Id)
            .limit(BATCH_SIZE)
            .into_tuple()
            .all(&app.db.reader)
            .await?;
        let Some(last) = ids.last() else { return failures.finish(requested) };
        after = *last;
        for id in ids {
            let result =
                audit::with_retry(|| request_renewal(app, &policy, &purposes, id)).await.map(u64::from);
            requested += failures.tolerate(app, "a renewal", id, result).await?;
        }
    }
}

/// The consents whose renewal is to be requested.
fn due_consents(app: &App, purposes: &[&str]) -> Select<consent::Entity> {
    let now = app.now();
    let requested = link::Entity::find()
        .select_only()
        .column(link::Column::Id)
        .filter(
            Expr::col((link::Entity, link::Column::ConsentId)).equals((consent::Entity, consent::Column::Id)),
        )
        .filter(link::Column::Kind.eq(LinkKind::Renew))
        .filter(
            Expr::col((link::Entity, link::Column::CreatedAt))
                .gte(Expr::col((consent::Entity, consent::Column::ReviewDueAt))),
        );
    consent::Entity::find()
        .filter(consent::Column::Status.eq(ConsentStatus::Granted))
        .filter(consent::Column::Channel.eq(Channel::Email))
        .filter(consent::Column::PurposeCode.is_in(purposes.iter().copied()))
        .filter(consent::Column::ReviewDueAt.lte(now))
        .filter(consent::Column::ExpiresAt.gt(now))
        .filter(Expr::exists(requested.into_query()).not())
}

/// An actor that sees a contact exactly if the purpose may be pursued now.
fn reader_for(app: &App, policy: &std::sync::Arc<Policy>, purpose: &str) -> Result<Actor, Error> {
    let credential = Credential {
        actor_id: "server".to_owned(),
        roles: Vec::new(),
        purposes: vec![purpose.to_owned()],
        fields: None,
        expires_at: app.now(),
        recipient: None,
    };
    Actor::new(policy.clone(), &credential, Some(purpose), String::new())
}

async fn request_renewal(
    app: &App,
    policy: &std::sync::Arc<Policy>,
    purposes: &[&str],
    id: Uuid,
) -> Result<bool, Error> {
    let Some(found) = consent::Entity::find_by_id(id).one(&app.db.reader).await? else { return Ok(false) };
    let mut tx = audit::begin(app, Author::command(app, "server", Some(&found.purpose_code))).await?;
    let contact = contact::Entity::find_by_id(found.contact_id).lock_exclusive().one(tx.connection()).await?;
    // Checked again under the lock of the contact.
    let still_due =
        due_consents(app, purposes).filter(consent::Column::Id.eq(id)).one(tx.connection()).await?;
    let (Some(contact), Some(row)) = (contact, still_due) else { return Ok(false) };
    let (Some(address), Some(key)) = (&contact.email, &contact.email_key) else { return Ok(false) };
    let bound = row.bound_address.as_ref().is_none_or(|bound| bound == key);
    let since = row.declared_at.unwrap_or(row.created_at);
    let reader = reader_for(app, policy, &row.purpose_code)?;
    let may_ask = contact.state == ContactState::Active
        && bound
        && tx.can_see(&reader, &CONTACT, contact.id).await?
        && !is_blocked(
            tx.connection(),
            (tx.existing_installation_keys().await?.as_ref(), tx.reader()),
            policy,
            key,
            &row.purpose_code,
            since,
        )
        .await?;
    if !may_ask {
        return Ok(false);
    }
    let own_language = contact.language.as_deref();
    let language =
        own_language.filter(|own_language| LANGUAGES.contains(own_language)).unwrap_or(&app.pages.language);
    let Some(current) = policy.current_text(&row.purpose_code, language) else { return Ok(false) };
    let text = find_text(tx.connection(), &current.purpose, &current.language, &current.version).await?;
    let Some(text) = text else { return Ok(false) };
    let installation_keys = tx.installation_keys().await?;
    let send_time = mail_outbox::send_time(&tx, &app.pages, &installation_keys, key, LinkKind::Renew).await?;
    if !matches!(send_time, SendTime::At(_)) {
        // Another renewal was just requested from the person; this one comes later.
        return Ok(false);
    }
    let link = Link {
        contact_id: Some(contact.id),
        consent_id: Some(id),
        text_id: Some(text.id),
        ..Link::new(LinkKind::Renew)
    };
    // Requested once, so the link lasts as long as there is something to renew.
    let ends = row.expires_at.unwrap_or(tx.now() + app.pages.confirm_time());
    let link_id = make_link(&mut tx, &installation_keys, &link, key, ends).await?;
    let purposes = [row.purpose_code.clone()];
    let mail = NewMail {
        link_id,
        kind: LinkKind::Renew,
        contact_id: Some(contact.id),
        recipient: address,
        address_key: key,
        language,
        purposes: &purposes,
    };
    mail_outbox::queue(&mut tx, &app.pages, &installation_keys, &mail, send_time).await?;
    let requested = OptInRequest {
        purpose: &row.purpose_code,
        text: text.id,
        source: BY_MAIL,
        address,
        address_key: key,
    };
    consents::request_opt_in(&mut tx, "askRenewal", &contact, &requested, None).await?;
    tx.commit().await?;
    Ok(true)
}
