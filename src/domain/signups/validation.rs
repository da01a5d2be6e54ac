//! Validates sign-ups, and checks for opt-outs against them. Room: domain/signups.

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event, consent_text, contact, contact_point,
    enums::{Channel, ConsentEventKind, ContactState},
    objection,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait,
    Select,
    sea_query::{Expr, SelectStatement, UnionType},
};

use super::choices::{SignUp, StoredChoice};
use crate::{
    app::App,
    audit::Transaction,
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    crypto::installation_keys::InstallationKeys,
    domain::{
        contacts::{NewAddresses, Reachable},
        suppressions,
    },
    policy::{self, DOUBLE_OPT_IN, Grounds, Policy, PurposeDef},
    registry::Validator,
};

/// Contacts whose persons may see their data.
pub(super) fn visible_contacts() -> Select<contact::Entity> {
    contact::Entity::find()
        .filter(contact::Column::State.is_in([ContactState::Active, ContactState::Restricted]))
}

/// The validated values of a sign-up.
pub(super) struct ValidSignUp {
    pub(super) address: String,
    pub(super) given_name: Option<String>,
    pub(super) family_name: Option<String>,
    pub(super) language: String,
    pub(super) source: String,
    pub(super) notice_version: Option<String>,
    pub(super) choices: Vec<StoredChoice>,
}

fn invalid_input(name: &str, message: impl Into<String>) -> Error {
    Error::bad_input(message).with_input_path(format!("input.{name}"))
}

/// Validates a value by the registry; the error names the field, never the value.
fn validate(
    validator: Validator,
    name: &str,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, Error> {
    let result = validator.validate(text, now.date_naive());
    result.map_err(|error| invalid_input(name, format!("`{name}` {}", error.requirement())))
}

/// An e-mail address in stored form.
///
/// # Errors
/// `BAD_USER_INPUT` for anything else.
pub(super) fn address(text: &str, now: DateTime<Utc>) -> Result<String, Error> {
    validate(Validator::Email, "email", text, now)?
        .ok_or_else(|| invalid_input("email", "`email` is missing"))
}

/// Checks everything that does not depend on the person.
///
/// # Errors
/// `CONFLICT` if mails are disabled; `BAD_USER_INPUT` with the path of the invalid value.
pub(super) async fn check(
    tx: &Transaction,
    app: &App,
    policy: &Policy,
    new: &SignUp,
) -> Result<ValidSignUp, Error> {
    let now = tx.now();
    if !app.pages.enabled {
        let message = "sign-ups need mails and public pages; turn them on with `pages.enabled`";
        return Err(Error::new(Code::Conflict, message));
    }
    if new.signed_up_at > now {
        return Err(invalid_input("declaredAt", "`declaredAt` is in the future"));
    }
    if new.signed_up_at < now - app.pages.unconfirmed_time() {
        return Err(invalid_input("declaredAt", "the sign-up is older than unconfirmed sign-ups are stored"));
    }
    let name = |name, text: &Option<String>| {
        text.as_deref().map_or(Ok(None), |text| validate(Validator::Line, name, text, now))
    };
    let required = |name: &str, found: Option<String>| {
        found.ok_or_else(|| invalid_input(name, format!("`{name}` is missing")))
    };
    let language = required("language", validate(Validator::Language, "language", &new.language, now)?)?;
    let mut choices: Vec<StoredChoice> = Vec::new();
    for choice in &new.choices {
        if choices.iter().any(|chosen| chosen.purpose == choice.purpose) {
            continue;
        }
        let purpose = opt_in_purpose(policy, &choice.purpose)?;
        let version = match &choice.text_version {
            Some(version) => version.as_str(),
            None => current_version(policy, &purpose.code, &language)?,
        };
        let text = find_text(tx.connection(), &purpose.code, &language, version).await?;
        let text =
            text.ok_or_else(|| invalid_input("textVersion", "no such text was published in this language"))?;
        choices.push(StoredChoice {
            purpose: purpose.code.clone(),
            channel: policy::Channel::Email.as_str().to_owned(),
            text: text.id,
        });
    }
    if choices.is_empty() {
        return Err(invalid_input("purpose", "`purpose` is missing"));
    }
    Ok(ValidSignUp {
        address: address(&new.address, now)?,
        given_name: name("givenName", &new.given_name)?,
        family_name: name("familyName", &new.family_name)?,
        source: required("form", validate(Validator::Line, "form", &new.source, now)?)?,
        notice_version: name("noticeVersion", &new.notice_version)?,
        language,
        choices,
    })
}

/// The current version of the text.
fn current_version<'p>(policy: &'p Policy, purpose: &str, language: &str) -> Result<&'p str, Error> {
    let text = policy.current_text(purpose, language);
    let text = text.ok_or_else(|| invalid_input("language", "this purpose has no text in this language"))?;
    Ok(&text.version)
}

/// A purpose that can be consented to by a mailed link.
fn opt_in_purpose<'p>(policy: &'p Policy, code: &str) -> Result<&'p PurposeDef, Error> {
    let Some(purpose) = policy.purpose(code) else {
        return Err(invalid_input("purpose", "there is no such purpose"));
    };
    if purpose.is_group {
        return Err(invalid_input("purpose", "consent is given per kind, never to a group (Recital 43)"));
    }
    if purpose.grounds != Grounds::Consent {
        return Err(invalid_input("purpose", "this purpose does not rest on consent"));
    }
    if !purpose.channels.contains(&policy::Channel::Email) {
        // A mail proves nothing about the phone (BGH I ZR 164/09).
        return Err(invalid_input(
            "purpose",
            "a confirmation by mail is valid for e-mail only, which this purpose does not use",
        ));
    }
    if !purpose.proof.iter().any(|proof| proof == DOUBLE_OPT_IN) {
        return Err(invalid_input("purpose", "this purpose does not accept a confirmation by mail as proof"));
    }
    Ok(purpose)
}

/// A published text.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn find_text<C: ConnectionTrait>(
    connection: &C,
    purpose: &str,
    language: &str,
    version: &str,
) -> Result<Option<consent_text::Model>, Error> {
    let text = consent_text::Entity::find()
        .filter(consent_text::Column::PurposeCode.eq(purpose))
        .filter(consent_text::Column::Language.eq(language))
        .filter(consent_text::Column::Version.eq(version));
    Ok(text.one(connection).await?)
}

/// Subquery of the contacts with this mailbox, as primary or further address.
pub(super) fn contacts_of_mailbox(address_key: &str) -> SelectStatement {
    let primary = contact::Entity::find().select_only().column(contact::Column::Id);
    let mut primary = primary.filter(contact::Column::EmailKey.eq(address_key)).into_query();
    let further = contact_point::Entity::find().select_only().column(contact_point::Column::ContactId);
    let further = further.filter(contact_point::Column::EmailKey.eq(address_key)).into_query();
    primary.union(UnionType::Distinct, further).to_owned()
}

/// Whether a contact with this mailbox has opted out of the purpose by e-mail at `since` or later: a tie goes to
/// the withdrawal. The same statements run whoever it is.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn is_blocked<C: ConnectionTrait>(
    connection: &C,
    (installation_keys, reader): (Option<&InstallationKeys>, &Reader),
    policy: &Policy,
    address_key: &str,
    purpose: &str,
    since: DateTime<Utc>,
) -> Result<bool, Error> {
    let group = policy.purpose(purpose).and_then(|purpose| purpose.group.as_deref());
    let consents = consent::Entity::find()
        .select_only()
        .column(consent::Column::Id)
        .filter(consent::Column::PurposeCode.eq(purpose))
        .filter(consent::Column::Channel.eq(Channel::Email))
        .filter(consent::Column::ContactId.in_subquery(contacts_of_mailbox(address_key)));
    // An end without a time counts at its latest possible time.
    let when =
        Expr::col(consent_event::Column::DeclaredAt).if_null(Expr::col(consent_event::Column::RecordedAt));
    let ended = consent_event::Entity::find()
        .select_only()
        .column(consent_event::Column::Id)
        .filter(consent_event::Column::ConsentId.in_subquery(consents.into_query()))
        .filter(consent_event::Column::Kind.is_in([ConsentEventKind::Withdrawn, ConsentEventKind::Refused]))
        .filter(when.gte(since))
        .limit(1)
        .into_tuple::<uuid::Uuid>()
        .one(connection)
        .await?;
    let had_effect = Condition::any()
        .add(objection::Column::EndedAt.is_null())
        .add(Expr::col(objection::Column::EndedAt).gt(Expr::col(objection::Column::ObjectedAt)));
    let objected = objection::Entity::find()
        .select_only()
        .column(objection::Column::Id)
        .filter(objection::Column::ContactId.in_subquery(contacts_of_mailbox(address_key)))
        .filter(objection::Column::PurposeCode.is_in([purpose].into_iter().chain(group)))
        .filter(objection::Column::ObjectedAt.gte(since))
        .filter(had_effect)
        .limit(1)
        .into_tuple::<uuid::Uuid>()
        .one(connection)
        .await?;
    let mailboxes = reader.emails(address_key).identities;
    let addresses = NewAddresses::from_text(
        mailboxes.into_iter().map(|identity| Reachable::from_text(identity, address_key)).collect(),
    );
    let matches =
        suppressions::find(connection, installation_keys, reader, std::slice::from_ref(&addresses)).await?;
    let is_listed = matches
        .ends_consent(policy, &addresses, purpose, Channel::Email)
        .is_some_and(|is_listed| is_listed >= since);
    Ok(ended.is_some() || objected.is_some() || is_listed)
}
