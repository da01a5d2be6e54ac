//! The person's own answer by a mailed link: a sign-up confirmed, or a consent renewed; once (floor 4).

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_text, contact,
    enums::{ConsentEventKind, ContactState, LinkKind},
    link, mail, sign_up,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{Chosen, checks::blocked};
use crate::{
    audit::{self, Author, Changes, Entry, Transaction},
    consents::{self, Asked},
    contacts::{self, Source, Values},
    context::{Actor, App},
    error::{Code, Error},
    links,
    policy::Grounds,
    register::{CONTACT, Category},
    suppressions,
};

/// Where a renewal was declared.
const BY_MAIL: &str = "renewal mail";

/// What a link asks the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Language it was asked in.
    pub language: String,
    /// Code and text in full of each purpose.
    pub purposes: Vec<(String, String)>,
    /// When the link ends.
    pub expires_at: DateTime<Utc>,
    /// Whether it confirms or renews.
    pub kind: LinkKind,
}

/// What the link `token` asks; none for one that is unknown, used or has ended alike.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn pending(app: &App, token: &str) -> Result<Option<Pending>, Error> {
    let db = &app.db.reader;
    let Some(link) = usable(db, token, app.now()).await? else { return Ok(None) };
    let (language, texts) = match link.kind {
        LinkKind::Confirm => {
            let Some(sign_up) = signed_up(db, &link).await? else { return Ok(None) };
            let chosen = chosen(&sign_up)?;
            let ids = chosen.iter().map(|choice| choice.text);
            let known =
                consent_text::Entity::find().filter(consent_text::Column::Id.is_in(ids)).all(db).await?;
            // In the order in which they were chosen.
            let text = |choice: &Chosen| known.iter().find(|text| text.id == choice.text).cloned();
            (sign_up.language.clone(), chosen.iter().filter_map(text).collect::<Vec<_>>())
        }
        LinkKind::Renew => {
            let Some(renewed) = renewing(db, &link).await? else { return Ok(None) };
            (renewed.text.language.clone(), vec![renewed.text])
        }
        LinkKind::Fresh => return Ok(None),
    };
    let purposes = texts.into_iter().map(|text| (text.purpose_code, text.text)).collect();
    Ok(Some(Pending { language, purposes, expires_at: link.expires_at, kind: link.kind }))
}

/// Confirms or renews what the link `token` asks, in the name of the person whose link it is, and gives the contact: once. None for
/// a link that is unknown, used or has ended alike.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`.
pub async fn confirm(app: &App, token: &str, request_id: &str) -> Result<Option<Uuid>, Error> {
    // What is no link opens no transaction.
    if usable(&app.db.reader, token, app.now()).await?.is_none() {
        return Ok(None);
    }
    audit::again(|| once(app, token, request_id)).await
}

async fn once(app: &App, token: &str, request_id: &str) -> Result<Option<Uuid>, Error> {
    let author = Author {
        request_id: Some(request_id.to_owned()),
        ..Author::command(app, "page", Some(&app.pages.purpose))
    };
    let mut tx = audit::begin(app, author).await?;
    let row = link::Entity::find().filter(link::Column::TokenHash.eq(links::hash(token))).lock_exclusive();
    // The lock comes first: of several who come at once one finds it unused.
    let Some(link) = row.one(tx.connection()).await?.filter(|link| is_open(link, tx.now())) else {
        return Ok(None);
    };
    let done = match link.kind {
        LinkKind::Confirm => confirmed(&mut tx, app, &link, request_id).await?,
        LinkKind::Renew => renewed(&mut tx, app, &link, request_id).await?,
        LinkKind::Fresh => None,
    };
    let Some(contact) = done else { return Ok(None) };
    link::Entity::update_many()
        .col_expr(link::Column::UsedAt, Expr::value(tx.now()))
        .col_expr(link::Column::ContactId, Expr::value(contact))
        .filter(link::Column::Id.eq(link.id))
        .exec(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(Some(contact))
}

fn is_open(link: &link::Model, now: DateTime<Utc>) -> bool {
    link.used_at.is_none() && link.expires_at > now && link.kind != LinkKind::Fresh
}

async fn usable<C: ConnectionTrait>(
    connection: &C,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<link::Model>, Error> {
    if !links::is_mailed(token) {
        return Ok(None);
    }
    let row = link::Entity::find().filter(link::Column::TokenHash.eq(links::hash(token)));
    Ok(row.one(connection).await?.filter(|link| is_open(link, now)))
}

async fn signed_up<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<sign_up::Model>, Error> {
    let Some(id) = link.sign_up_id else { return Ok(None) };
    Ok(sign_up::Entity::find_by_id(id).one(connection).await?)
}

fn chosen(sign_up: &sign_up::Model) -> Result<Vec<Chosen>, Error> {
    serde_json::from_str(&sign_up.choices).map_err(|_| Error::internal("the choices of a sign-up"))
}

/// Who acts once it is known whose link it is.
fn act_as(tx: &mut Transaction, app: &App, contact: Uuid, request_id: &str) -> Result<Actor, Error> {
    let policy = app.policy.current();
    let actor = Actor::of_subject(policy, contact, &app.pages.purpose, tx.now(), request_id.to_owned())?;
    tx.act_as(Author::from(&actor))?;
    Ok(actor)
}

/// The contact, locked, if it exists for itself.
async fn lock(tx: &Transaction, actor: &Actor, id: Uuid) -> Result<Option<contact::Model>, Error> {
    match contacts::lock(tx, actor, id).await {
        Ok(contact) => Ok(Some(contact)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn mail_of<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<mail::Model>, Error> {
    Ok(mail::Entity::find().filter(mail::Column::LinkId.eq(link.id)).one(connection).await?)
}

/// Makes consents of what the person signed up to. What was withdrawn or objected to since the sign-up counts no more: this is the
/// newer declaration.
async fn confirmed(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    request_id: &str,
) -> Result<Option<Uuid>, Error> {
    let Some(sign_up) = signed_up(tx.connection(), link).await? else { return Ok(None) };
    let known = owner(tx, &sign_up).await?;
    let id = known.unwrap_or_else(|| tx.new_subject());
    let actor = act_as(tx, app, id, request_id)?;
    let mut choices = Vec::new();
    for choice in chosen(&sign_up)? {
        // What the policy knows no more nobody consents to any more; and what was ended since the sign-up only a new one
        // opens: the person who objects has not to hunt for older mails.
        let purpose = actor.policy.purpose(&choice.purpose);
        let (key, since) = (&sign_up.address_key, sign_up.signed_up_at);
        if purpose.is_some_and(|purpose| purpose.grounds == Grounds::Consent)
            && !blocked(tx, &actor.policy, key, &choice.purpose, since).await?
        {
            choices.push(choice);
        }
    }
    if choices.is_empty() {
        return Ok(None);
    }
    if known.is_none() {
        make_contact(tx, id, &sign_up).await?;
    }
    let Some(contact) = lock(tx, &actor, id).await? else { return Ok(None) };
    if contact.email_key.as_ref() != Some(&sign_up.address_key) {
        // The address became another until the lock was had.
        return Ok(None);
    }
    let mail = mail_of(tx.connection(), link).await?;
    for choice in choices {
        let asked = Asked {
            purpose: &choice.purpose,
            text: choice.text,
            source: &sign_up.source,
            address: &sign_up.address,
            address_key: &sign_up.address_key,
        };
        consents::ask(tx, "requestConsent", &contact, &asked, Some(sign_up.signed_up_at)).await?;
        let mail = mail.as_ref().map(|mail| mail.id);
        consents::answer(tx, &actor, &contact, &asked, ConsentEventKind::Confirmed, mail).await?;
    }
    forget(tx, &sign_up, id, mail.as_ref()).await?;
    Ok(Some(id))
}

/// Whose sign-up it is: the contact it was made for, if the address is still its own, or the oldest that has it.
async fn owner(tx: &Transaction, sign_up: &sign_up::Model) -> Result<Option<Uuid>, Error> {
    let with_address = || {
        contact::Entity::find()
            .select_only()
            .column(contact::Column::Id)
            .filter(contact::Column::EmailKey.eq(&sign_up.address_key))
            .filter(contact::Column::State.is_in([ContactState::Active, ContactState::Restricted]))
    };
    if let Some(named) = sign_up.contact_id {
        let named = with_address().filter(contact::Column::Id.eq(named)).into_tuple().one(tx.connection());
        if let Some(id) = named.await? {
            return Ok(Some(id));
        }
    }
    let oldest = with_address().order_by_asc(contact::Column::CreatedAt).order_by_asc(contact::Column::Id);
    Ok(oldest.limit(1).into_tuple().one(tx.connection()).await?)
}

async fn make_contact(tx: &mut Transaction, id: Uuid, sign_up: &sign_up::Model) -> Result<(), Error> {
    let given = |name: &str| match name {
        "email" => Some(sign_up.address.clone()),
        "givenName" => sign_up.given_name.clone(),
        "familyName" => sign_up.family_name.clone(),
        "language" => Some(sign_up.language.clone()),
        _ => None,
    };
    let values: Values = CONTACT.given().filter_map(|(field, _)| Some((field, given(field.name)?))).collect();
    let source = Source {
        name: sign_up.source.clone(),
        collected_at: Some(sign_up.signed_up_at),
        informed_at: sign_up.notice_version.as_ref().map(|_| sign_up.signed_up_at),
        notice_version: sign_up.notice_version.clone(),
    };
    let reached = contacts::create_as(tx, "createContact", id, &values, &source).await?;
    // What was declared before does not count; the confirmation comes after it.
    suppressions::bring(tx, &reached).await.map(|_| ())
}

/// Deletes the sign-up: all of it stands in the events now.
async fn forget(
    tx: &mut Transaction,
    sign_up: &sign_up::Model,
    contact: Uuid,
    mail: Option<&mail::Model>,
) -> Result<(), Error> {
    link::Entity::update_many()
        .col_expr(link::Column::SignUpId, Expr::value(None::<Uuid>))
        .filter(link::Column::SignUpId.eq(sign_up.id))
        .exec(tx.connection())
        .await?;
    sign_up::Entity::delete_by_id(sign_up.id).exec(tx.connection()).await?;
    if let Some(mail) = mail {
        mail::Entity::update_many()
            .col_expr(mail::Column::ContactId, Expr::value(contact))
            .filter(mail::Column::Id.eq(mail.id))
            .exec(tx.connection())
            .await?;
    }
    let changes = Changes::one("SignUp.confirmed", Category::Consent, false.into(), true.into());
    tx.record(Entry {
        action: "confirmSignUp",
        entity_type: "SignUp",
        entity_id: Some(sign_up.id),
        contact_id: Some(contact),
        changes,
    })
    .await
}

/// What a link renews.
struct Renewing {
    consent: consent::Model,
    text: consent_text::Model,
    mail: Option<mail::Model>,
}

/// What the link renews, with the current text in the language of its mail; none where it is no longer to be renewed.
async fn renewing<C: ConnectionTrait>(connection: &C, link: &link::Model) -> Result<Option<Renewing>, Error> {
    let Some(id) = link.consent_id else { return Ok(None) };
    let Some(consent) = consent::Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let mail = mail_of(connection, link).await?;
    // The text that is shown is the one that is declared to, also when another is published in between.
    let text = match link.consent_text_id {
        Some(id) => consent_text::Entity::find_by_id(id).one(connection).await?,
        None => None,
    };
    let bound = consent.bound_address.as_ref().is_none_or(|bound| *bound == link.address_key);
    let renewing = text.filter(|_| bound && consents::renewable(&consent));
    Ok(renewing.map(|text| Renewing { consent, text, mail }))
}

async fn renewed(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    request_id: &str,
) -> Result<Option<Uuid>, Error> {
    let Some(id) = link.contact_id else { return Ok(None) };
    let actor = act_as(tx, app, id, request_id)?;
    let Some(contact) = lock(tx, &actor, id).await? else { return Ok(None) };
    let (Some(address), Some(key)) = (&contact.email, &contact.email_key) else { return Ok(None) };
    if *key != link.address_key {
        return Ok(None);
    }
    let Some(renewing) = renewing(tx.connection(), link).await? else { return Ok(None) };
    if blocked(tx, &actor.policy, key, &renewing.consent.purpose_code, link.created_at).await? {
        return Ok(None);
    }
    let asked = Asked {
        purpose: &renewing.consent.purpose_code,
        text: renewing.text.id,
        source: BY_MAIL,
        address,
        address_key: key,
    };
    let mail = renewing.mail.map(|mail| mail.id);
    consents::answer(tx, &actor, &contact, &asked, ConsentEventKind::Renewed, mail).await?;
    Ok(Some(id))
}
