//! Access tokens: created, looked up, rotated and revoked. The claims of a bearer come only from here.
//! Room: domain/access_tokens.

mod bearer;
mod input;

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use entity::access_token::{Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, QueryOrder, QueryResult, QuerySelect, QueryTrait,
    sqlx::{Arguments, postgres::PgArguments},
};
use tracing::Instrument;
use uuid::Uuid;

pub use bearer::BearerToken;

use crate::{
    app::App,
    audit::{ChangeSet, Entry, Transaction},
    auth::{actor::Actor, credential::Credential, oidc::User},
    base::{
        error::{Code, Error},
        names::unknown,
    },
    policy::{Action, Policy},
    registry::{self, ACCESS_TOKEN},
};

/// Maximum lifetime of a token.
const MAX_LIFETIME_DAYS: i64 = 366;
/// Default lifetime of a token.
const DEFAULT_LIFETIME_DAYS: i64 = 90;
/// Precision of the last use: fine enough to find unused tokens, too coarse to record who works when.
const LAST_USED_PRECISION_MINUTES: i64 = 60;
/// Compared with if there is no such token, so that the time taken reveals nothing.
const DUMMY_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The default expiry of a token created `now`.
pub fn default_expiry(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::days(DEFAULT_LIFETIME_DAYS)
}

/// A token to create.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Name, for administrators.
    pub name: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Codes of purposes, no groups.
    pub purposes: Vec<String>,
    /// Coordinates it is restricted to; `None` for no restriction.
    pub fields: Option<Vec<String>>,
    /// When it expires, at most 366 days from now.
    pub expires_at: DateTime<Utc>,
    /// The recipient that uses it.
    pub recipient_id: Option<Uuid>,
}

impl NewToken {
    fn check(&self, policy: &Policy, now: DateTime<Utc>) -> Result<(), Error> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            let message = "`name` must be 1 to 200 characters without control characters";
            return Err(Error::bad_input(message).with_input_path("input.name"));
        }
        if self.roles.is_empty() {
            return Err(Error::bad_input("a token needs at least one role").with_input_path("input.roles"));
        }
        let invalid_name = |field: &str, index: usize, message: &str| {
            Err(Error::bad_input(message).with_input_path(format!("input.{field}.{index}")))
        };
        for (index, role) in self.roles.iter().enumerate() {
            if !policy.roles().contains(role) {
                return invalid_name("roles", index, &unknown("role", role, policy.roles()));
            }
        }
        if self.purposes.is_empty() {
            return Err(
                Error::bad_input("a token needs at least one purpose").with_input_path("input.purposes")
            );
        }
        for (index, code) in self.purposes.iter().enumerate() {
            match policy.purpose(code) {
                None => {
                    let purposes = policy.purposes().iter().filter(|purpose| !purpose.is_group);
                    let codes: Vec<&str> = purposes.map(|purpose| purpose.code.as_str()).collect();
                    return invalid_name("purposes", index, &unknown("purpose", code, &codes));
                }
                Some(purpose) if purpose.is_group => {
                    return invalid_name("purposes", index, "a group is not a purpose; name its purposes");
                }
                Some(_) => {}
            }
        }
        if let Some(fields) = &self.fields {
            // Root fields cannot be restricted; what they return can.
            let objects = registry::policy_objects();
            let root = |field: &String| {
                ["Query.", "Mutation.", "Subscription."].iter().any(|root| field.starts_with(root))
            };
            let unknown = |field: &String| root(field) || !objects.iter().any(|object| object.name == *field);
            if let Some(index) = fields.iter().position(unknown) {
                let message = "there is no such field; expected a type and a field, such as `Contact.email`";
                return invalid_name("fields", index, message);
            }
            if fields.is_empty() {
                let message = "a token restricted to no field could read nothing";
                return Err(Error::bad_input(message).with_input_path("input.fields"));
            }
        }
        if self.expires_at <= now {
            return Err(Error::bad_input("`expiresAt` is in the past").with_input_path("input.expiresAt"));
        }
        if self.expires_at > now + TimeDelta::days(MAX_LIFETIME_DAYS) {
            return Err(Error::bad_input(format!("`expiresAt` is more than {MAX_LIFETIME_DAYS} days away"))
                .with_input_path("input.expiresAt"));
        }
        Ok(())
    }
}

impl NewToken {
    /// Rejects a token that could do nothing for one of its purposes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with the purposes that its roles can be used for.
    pub fn check_use(&self, policy: &Policy) -> Result<(), Error> {
        let is_purpose = |code: &String| policy.purpose(code).is_some_and(|purpose| !purpose.is_group);
        if self.roles.is_empty()
            || !self.roles.iter().all(|role| policy.roles().contains(role))
            || !self.purposes.iter().all(is_purpose)
        {
            // Unknown names are rejected elsewhere.
            return Ok(());
        }
        let useful = |purpose: &str| self.roles.iter().any(|role| policy.has_own_permissions(role, purpose));
        let Some(index) = self.purposes.iter().position(|purpose| !useful(purpose)) else {
            return self.check_narrowing(policy);
        };
        let possible: Vec<&str> = policy
            .purposes()
            .iter()
            .filter(|purpose| !purpose.is_group && useful(&purpose.code))
            .map(|purpose| purpose.code.as_str())
            .collect();
        let message = match possible.is_empty() {
            true => "these roles have no rights for any purpose".to_owned(),
            false => {
                format!("these roles may do nothing for this purpose; they may for: {}", possible.join(", "))
            }
        };
        Err(Error::bad_input(message).with_input_path(format!("input.purposes.{index}")))
    }

    /// Rejects a field list that leaves nothing for one of the purposes. Unknown names are rejected elsewhere.
    fn check_narrowing(&self, policy: &Policy) -> Result<(), Error> {
        let Some(fields) = self.fields.as_deref().filter(|fields| !fields.is_empty()) else { return Ok(()) };
        if fields.iter().any(|field| policy.object(field).is_none()) {
            return Ok(());
        }
        let is_useless = |purpose: &&String| !policy.can_use(&self.roles, purpose, fields);
        let Some(purpose) = self.purposes.iter().find(is_useless) else { return Ok(()) };
        let possible: Vec<&str> = policy.usable_fields(&self.roles, purpose).into_iter().collect();
        let message = format!(
            "these roles may use none of these fields for `{purpose}`; they may use: {}",
            possible.join(", ")
        );
        Err(Error::bad_input(message).with_input_path("input.fields"))
    }

    /// Checks that `actor` may issue it: only roles and purposes that it may grant, never for longer or wider than
    /// its own credential.
    ///
    /// # Errors
    /// `FORBIDDEN` with what may not be granted and its path in the input; `BAD_USER_INPUT` for an unknown role or
    /// purpose, with those that the caller may know.
    pub fn check_grant(&self, actor: &Actor) -> Result<(), Error> {
        let forbidden = |message: &str, field: &str| {
            Error::new(Code::Forbidden, message).with_input_path(format!("input.{field}"))
        };
        let kinds = [("role", "roles", &self.roles), ("purpose", "purposes", &self.purposes)];
        for (kind, field, names) in kinds {
            for name in names {
                let object = format!("token:{kind}:{name}");
                // Names unknown to the actor's policy are rejected by the check of names under the same policy.
                if actor.policy.object(&object).is_some() && !actor.can(&object, Action::Grant) {
                    return Err(forbidden("this may not be granted", field).with_coordinate(object));
                }
            }
        }
        // This comes before errors that list all names of the policy.
        for (index, role) in self.roles.iter().enumerate() {
            if !actor.policy.roles().contains(role) {
                return Err(actor.unknown_role(role).with_input_path(format!("input.roles.{index}")));
            }
        }
        for (index, code) in self.purposes.iter().enumerate() {
            if actor.policy.purpose(code).is_none() {
                return Err(actor
                    .unknown_purpose(code, false)
                    .with_input_path(format!("input.purposes.{index}")));
            }
        }
        if self.expires_at > actor.expires_at {
            return Err(forbidden("a token may not outlive the credential that makes it", "expiresAt"));
        }
        if let Some(own_fields) = &actor.fields {
            let within = |fields: &Vec<String>| fields.iter().all(|field| own_fields.contains(field));
            if !self.fields.as_ref().is_some_and(within) {
                return Err(forbidden(
                    "a token may not be wider than the credential that makes it",
                    "fields",
                ));
            }
        }
        Ok(())
    }
}

/// Creates a token and returns its id and the token itself, which cannot be retrieved again.
///
/// # Errors
/// `BAD_USER_INPUT` for an unknown role, purpose, field or recipient, for a group, and for an expiry in the past or
/// too far away.
pub async fn create(
    tx: &mut Transaction,
    policy: &Policy,
    new: NewToken,
) -> Result<(Uuid, BearerToken), Error> {
    new.check(policy, tx.now())?;
    if let Some(recipient) = new.recipient_id {
        let found = entity::recipient::Entity::find_by_id(recipient).one(tx.connection()).await?;
        if found.is_none() {
            return Err(Error::bad_input("there is no such recipient").with_input_path("input.recipientId"));
        }
    }
    let token = BearerToken::generate();
    let model = Model {
        id: tx.new_subject(),
        lookup: token.lookup().to_owned(),
        name: new.name.trim().to_owned(),
        secret_hash: token.secret_hash(),
        roles: to_json(&new.roles)?,
        purposes: to_json(&new.purposes)?,
        fields: new.fields.as_ref().map(to_json).transpose()?,
        recipient_id: new.recipient_id,
        created_by: tx.author().actor.clone(),
        created_at: tx.now(),
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let changes = tx.insert::<Entity>(&ACCESS_TOKEN, &model).await?;
    tx.record(entry("createAccessToken", model.id, changes)).await?;
    Ok((model.id, token))
}

fn entry(action: &'static str, id: Uuid, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: ACCESS_TOKEN.name, entity_id: Some(id), contact_id: None, changes }
}

/// Ids of valid tokens with a role or purpose that `policy` does not know.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn tokens_with_unknown_names(app: &App, policy: &Policy) -> Result<Vec<String>, Error> {
    let valid = Entity::find()
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(app.now()))
        .order_by_asc(Column::Id)
        .all(&app.db.reader)
        .await?;
    let mut ids = Vec::new();
    for token in valid {
        let (roles, purposes) = (parse_list(&token.roles)?, parse_list(&token.purposes)?);
        let unknown = |code: &String| policy.purpose(code).is_none_or(|purpose| purpose.is_group);
        if roles.iter().any(|role| !policy.roles().contains(role)) || purposes.iter().any(unknown) {
            ids.push(token.id.to_string());
        }
    }
    Ok(ids)
}

/// Creates a replacement token with the same rights; the old one stays valid for `overlap` at most. Without
/// `expires_at` the new one gets the lifetime of the old one.
///
/// # Errors
/// `NOT_FOUND` if there is no such token; `CONFLICT` for an expired or revoked one, whose bearer would regain
/// access; `BAD_USER_INPUT` if it could not be created today.
pub async fn rotate(
    tx: &mut Transaction,
    policy: &Policy,
    id: Uuid,
    overlap: TimeDelta,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(Uuid, BearerToken), Error> {
    let found = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let before = found.ok_or_else(|| Error::new(Code::NotFound, "there is no such token"))?;
    let now = tx.now();
    if before.revoked_at.is_some() || before.expires_at <= now {
        return Err(Error::new(Code::Conflict, "this token has expired or was revoked; create a new one"));
    }
    let new = NewToken {
        name: before.name.clone(),
        roles: parse_list(&before.roles)?,
        purposes: parse_list(&before.purposes)?,
        fields: before.fields.as_deref().map(parse_list).transpose()?,
        expires_at: expires_at.unwrap_or(now + (before.expires_at - before.created_at)),
        recipient_id: before.recipient_id,
    };
    let created = create(tx, policy, new).await?;
    let ends =
        before.expires_at.min(now + overlap.clamp(TimeDelta::zero(), TimeDelta::days(MAX_LIFETIME_DAYS)));
    let after = Model { expires_at: ends, ..before.clone() };
    let mut row = before.clone().into_active_model();
    row.expires_at = Set(ends);
    Entity::update(row).exec(tx.connection()).await?;
    let changes = ChangeSet::diff(&ACCESS_TOKEN, Some(&before), Some(&after));
    tx.record(entry("rotateAccessToken", id, changes)).await?;
    Ok(created)
}

/// All tokens, newest first; secrets are not stored.
pub async fn list<C: ConnectionTrait>(connection: &C) -> Result<Vec<Model>, Error> {
    Ok(Entity::find().order_by_desc(Column::Id).all(connection).await?)
}

/// Revokes a token. A repeat changes nothing.
///
/// # Errors
/// `NOT_FOUND` if there is no such token.
pub async fn revoke(tx: &mut Transaction, id: Uuid) -> Result<(), Error> {
    let found = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let before = found.ok_or_else(|| Error::new(Code::NotFound, "there is no such token"))?;
    if before.revoked_at.is_some() {
        return tx.record(entry("revokeAccessToken", id, ChangeSet::none())).await;
    }
    let after = Model { revoked_at: Some(tx.now()), ..before.clone() };
    let mut row = before.clone().into_active_model();
    row.revoked_at = Set(after.revoked_at);
    Entity::update(row).exec(tx.connection()).await?;
    let changes = ChangeSet::diff(&ACCESS_TOKEN, Some(&before), Some(&after));
    tx.record(entry("revokeAccessToken", id, changes)).await
}

/// Revokes a token that the caller can see.
///
/// # Errors
/// `NOT_FOUND` if there is no such token for the caller.
pub async fn revoke_as(tx: &mut Transaction, actor: &Actor, id: Uuid) -> Result<(), Error> {
    if !tx.can_see(actor, &ACCESS_TOKEN, id).await? {
        return Err(Error::new(Code::NotFound, "there is no such token"));
    }
    revoke(tx, id).await
}

/// The credential of a presented token. An access token is looked up in the database each time, so that a
/// revocation takes effect at once; a user's token is verified each time.
///
/// # Errors
/// `UNAUTHENTICATED`, equally for a wrong format, an unknown, expired or revoked token and a wrong secret. It
/// suggests a retry if the issuer is being asked for the key of a user's token.
pub async fn authenticate(app: &App, presented: &str) -> Result<Credential, Error> {
    if !BearerToken::is_access_token(presented) {
        let User { actor_id, roles, purposes, expires_at } =
            app.issuers.verify(presented, app.now()).map_err(|none| match none.retry_soon {
                true => unauthenticated().with_retry_soon(),
                false => unauthenticated(),
            })?;
        return Ok(Credential { actor_id, roles, purposes, fields: None, expires_at, recipient: None });
    }
    let token = BearerToken::parse(presented).ok_or_else(unauthenticated)?;
    let found = find_by_lookup(app, token.lookup()).await?;
    let matches = token.matches(found.as_ref().map_or(DUMMY_HASH, |row| row.secret_hash.as_str()));
    let now = app.now();
    let row = found
        .filter(|row| matches && row.revoked_at.is_none() && row.expires_at > now)
        .ok_or_else(unauthenticated)?;
    let credential = Credential {
        actor_id: format!("token:{}", row.id),
        roles: parse_list(&row.roles)?,
        purposes: parse_list(&row.purposes)?,
        fields: row.fields.as_deref().map(parse_list).transpose()?,
        expires_at: row.expires_at,
        recipient: row.recipient_id,
    };
    let before = now - TimeDelta::minutes(LAST_USED_PRECISION_MINUTES);
    if row.last_used_at.is_none_or(|last| last < before) {
        tokio::spawn(record_use(app.db.writer.clone(), row.id, now, before).in_current_span());
    }
    Ok(credential)
}

/// Whether a presented token is looked up in the database; others are verified by issuer.
pub fn is_looked_up(presented: &str) -> bool {
    BearerToken::is_access_token(presented)
}

/// The token with the unique `lookup`.
async fn find_by_lookup(app: &App, lookup: &str) -> Result<Option<Model>, Error> {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| Entity::find().filter(Column::Lookup.eq("")).build(DbBackend::Postgres).sql);
    let Some(kept) = &app.db.connection_cache else {
        return Ok(Entity::find().filter(Column::Lookup.eq(lookup)).one(&app.db.reader).await?);
    };
    let mut arguments = PgArguments::default();
    arguments.add(lookup).map_err(|_| Error::internal("a token cannot be looked up"))?;
    let rows = kept.fetch(&TEXT, arguments).await?;
    let row = rows.into_iter().next().map(QueryResult::from);
    Ok(row.map(|row| Model::from_query_result(&row, "")).transpose()?)
}

/// The error for every invalid credential.
pub fn unauthenticated() -> Error {
    Error::new(Code::Unauthenticated, "a valid access token is required")
}

/// Records the last use of a token, outside the request, which neither waits for it nor fails with it.
async fn record_use(writer: DatabaseConnection, id: Uuid, now: DateTime<Utc>, before: DateTime<Utc>) {
    let stale = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(before));
    let update = Entity::update_many()
        .col_expr(Column::LastUsedAt, sea_orm::sea_query::Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(stale);
    if update.exec(&writer).await.is_err() {
        tracing::warn!(token = %id, "the last use of a token could not be recorded");
    }
}

fn to_json(list: &Vec<String>) -> Result<String, Error> {
    serde_json::to_string(list).map_err(|_| Error::internal("a list could not be written"))
}

fn parse_list(text: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(text).map_err(|_| Error::internal("a list of a token cannot be read"))
}
