//! Parses the inputs of mutations about access tokens. Room: domain/access_tokens.

use chrono::{DateTime, Utc};

use super::{NewToken, default_expiry};
use crate::{
    auth::actor::Actor,
    base::error::{Code, Error},
    engine::Input,
    policy::Action,
};

impl NewToken {
    /// The token that a `CreateAccessTokenInput` describes, for an actor that creates it `now`.
    ///
    /// # Errors
    /// `FORBIDDEN_FIELD` where no end is given and the actor may not set one: the default end would be set in its place.
    pub fn from_input(input: &Input, actor: &Actor, now: DateTime<Utc>) -> Result<Self, Error> {
        let list = |name: &str| input.strings(name).map(<[String]>::to_vec);
        if input.time("expiresAt").is_none() && !actor.can("AccessToken.expiresAt", Action::Create) {
            let error = Error::new(Code::ForbiddenField, "this may not be written for this purpose");
            return Err(error.with_coordinate("AccessToken.expiresAt").with_input_path("input.expiresAt"));
        }
        Ok(Self {
            name: input.require_string("name")?,
            roles: list("roles").unwrap_or_default(),
            purposes: list("purposes").unwrap_or_default(),
            fields: list("fields"),
            // Without an end of its own the token ends at the latest with the credential that creates it.
            expires_at: input.time("expiresAt").unwrap_or_else(|| default_expiry(now).min(actor.expires_at)),
            recipient_id: input.id("recipientId"),
        })
    }
}
