//! Access tokens: made, found again and revoked; what a bearer may claim comes from here alone (floor 3).

mod bearer;

use chrono::{DateTime, TimeDelta, Utc};
use entity::access_token::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, SqlErr,
};
use uuid::Uuid;

pub use bearer::BearerToken;

use crate::{
    context::{App, Credential},
    error::{Code, Error},
    register,
};

/// Longest life of a token.
const LONGEST_DAYS: i64 = 366;
/// How coarsely the last use is kept: often enough to find tokens nobody uses, and no record of who works when.
const LAST_USED_MINUTES: i64 = 60;
/// Compared with when there is no such token, so that the time taken does not tell.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a new token shall permit.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Name, for those who manage tokens.
    pub name: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Codes of purposes, no groups.
    pub purposes: Vec<String>,
    /// Coordinates it is narrowed to; `None` for no narrowing.
    pub fields: Option<Vec<String>>,
    /// When it ends, at most 366 days from now.
    pub expires_at: DateTime<Utc>,
    /// The recipient that uses it.
    pub recipient_id: Option<Uuid>,
    /// The actor who makes it.
    pub created_by: String,
}

impl NewToken {
    fn check(&self, app: &App) -> Result<(), Error> {
        let policy = app.policy.current();
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(Error::input("`name` must be 1 to 200 characters without control characters"));
        }
        if self.roles.is_empty() {
            return Err(Error::input("a token needs at least one role"));
        }
        if let Some(role) = self.roles.iter().find(|role| !policy.roles().contains(role)) {
            return Err(Error::input(format!("there is no role `{role}`")));
        }
        if self.purposes.is_empty() {
            return Err(Error::input("a token needs at least one purpose"));
        }
        for code in &self.purposes {
            match policy.purpose(code) {
                None => return Err(Error::input(format!("there is no purpose `{code}`"))),
                Some(purpose) if purpose.is_group => {
                    return Err(Error::input(format!("`{code}` is a group; name its purposes")));
                }
                Some(_) => {}
            }
        }
        if let Some(fields) = &self.fields {
            let known = register::policy_objects();
            if let Some(field) =
                fields.iter().find(|field| !known.iter().any(|object| object.name == **field))
            {
                return Err(Error::input(format!("there is no field `{field}`")));
            }
            if fields.is_empty() {
                return Err(Error::input("a token narrowed to no field could read nothing"));
            }
        }
        let now = app.now();
        if self.expires_at <= now {
            return Err(Error::input("`expiresAt` is in the past"));
        }
        if self.expires_at > now + TimeDelta::days(LONGEST_DAYS) {
            return Err(Error::input(format!("`expiresAt` is more than {LONGEST_DAYS} days away")));
        }
        Ok(())
    }
}

/// Makes a token and gives its id and the token itself, which cannot be had again.
///
/// # Errors
/// `BAD_USER_INPUT` for a role, purpose or field the policy does not know, a group, a recipient that is not there,
/// an end in the past or too far away.
pub async fn create<C: ConnectionTrait>(
    connection: &C,
    app: &App,
    new: NewToken,
) -> Result<(Uuid, BearerToken), Error> {
    new.check(app)?;
    let id = app.new_id();
    let token = BearerToken::generate();
    let row = ActiveModel {
        id: Set(id),
        lookup: Set(token.lookup().to_owned()),
        name: Set(new.name.trim().to_owned()),
        secret_hash: Set(token.secret_hash()),
        roles: Set(json(&new.roles)?),
        purposes: Set(json(&new.purposes)?),
        fields: Set(new.fields.as_ref().map(json).transpose()?),
        recipient_id: Set(new.recipient_id),
        created_by: Set(new.created_by),
        created_at: Set(app.now()),
        expires_at: Set(new.expires_at),
        revoked_at: Set(None),
        last_used_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(connection).await.map_err(|error| match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => Error::input("there is no such recipient"),
        _ => error.into(),
    })?;
    Ok((id, token))
}

/// Every token, newest first; the secret is not among what is kept.
pub async fn list<C: ConnectionTrait>(connection: &C) -> Result<Vec<Model>, Error> {
    Ok(Entity::find().order_by_desc(Column::Id).all(connection).await?)
}

/// Ends a token now. A repeat changes nothing.
///
/// # Errors
/// `NOT_FOUND` when there is no such token.
pub async fn revoke<C: ConnectionTrait>(connection: &C, app: &App, id: Uuid) -> Result<Model, Error> {
    let found = Entity::find_by_id(id).one(connection).await?;
    let mut token = found.ok_or_else(|| Error::new(Code::NotFound, "there is no such token"))?;
    if token.revoked_at.is_none() {
        token.revoked_at = Some(app.now());
        let mut row = token.clone().into_active_model();
        row.revoked_at = Set(token.revoked_at);
        Entity::update(row).exec(connection).await?;
    }
    Ok(token)
}

/// The credential of a presented token, looked up in the database each time, so that a revocation counts at once.
///
/// # Errors
/// `UNAUTHENTICATED`, the same for a wrong format, an unknown, expired or revoked token and a wrong secret.
pub async fn authenticate(app: &App, presented: &str) -> Result<Credential, Error> {
    let token = BearerToken::parse(presented).ok_or_else(refused)?;
    let found = Entity::find().filter(Column::Lookup.eq(token.lookup())).one(&app.db.reader).await?;
    let matches = token.matches(found.as_ref().map_or(NO_HASH, |row| row.secret_hash.as_str()));
    let now = app.now();
    let row = found
        .filter(|row| matches && row.revoked_at.is_none() && row.expires_at > now)
        .ok_or_else(refused)?;
    let credential = Credential {
        actor_id: format!("token:{}", row.id),
        roles: list_of(&row.roles)?,
        purposes: list_of(&row.purposes)?,
        fields: row.fields.as_deref().map(list_of).transpose()?,
    };
    let before = now - TimeDelta::minutes(LAST_USED_MINUTES);
    if row.last_used_at.is_none_or(|last| last < before) {
        tokio::spawn(note_use(app.db.writer.clone(), row.id, now, before));
    }
    Ok(credential)
}

/// The one answer to every credential that does not hold.
pub fn refused() -> Error {
    Error::new(Code::Unauthenticated, "a valid access token is required")
}

/// Notes when a token was last used. Beside the request, which neither waits for it nor fails with it.
async fn note_use(writer: DatabaseConnection, id: Uuid, now: DateTime<Utc>, before: DateTime<Utc>) {
    let stale = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(before));
    let update = Entity::update_many()
        .col_expr(Column::LastUsedAt, sea_orm::sea_query::Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(stale);
    if update.exec(&writer).await.is_err() {
        tracing::warn!(token = %id, "the last use of a token could not be noted");
    }
}

fn json(list: &Vec<String>) -> Result<String, Error> {
    serde_json::to_string(list).map_err(|_| Error::internal("a list could not be written"))
}

fn list_of(text: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(text).map_err(|_| Error::internal("a list of a token cannot be read"))
}
