//! Commands on access tokens and users (floor 7).

use std::{collections::BTreeMap, fmt::Write as _, io::Read};

use chrono::TimeDelta;
use sea_orm::EntityTrait;
use uuid::Uuid;
use zweck::{
    audit::{self, Author},
    config::Config,
    tokens::{self, NewToken},
};

use super::{ACTOR, failure, note, open, print};
use crate::{Failure, RotateArgs, TokenArgs};

/// Makes a token and prints it: to standard output the token alone, so that it can be piped.
pub(crate) async fn create(config: &Config, args: TokenArgs) -> Result<(), Failure> {
    let app = open(config).await?;
    let new = NewToken {
        name: args.name,
        roles: args.roles,
        purposes: args.purposes,
        fields: (!args.fields.is_empty()).then_some(args.fields),
        expires_at: app.now() + TimeDelta::days(i64::from(args.expires_in_days)),
        recipient_id: args.recipient,
    };
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    let (id, token) = tokens::create(&mut tx, &app.policy.current(), new).await.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    note(&format!("token {id}; it is shown this once"));
    print(&format!("{}\n", token.reveal()))
}

/// Makes a token with the rights of another and prints it, like a new one. The old one ends after the overlap.
pub(crate) async fn rotate(config: &Config, args: RotateArgs) -> Result<(), Failure> {
    let app = open(config).await?;
    let expires_at = args.expires_in_days.map(|days| app.now() + TimeDelta::days(i64::from(days)));
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    let policy = app.policy.current();
    let rotated = tokens::rotate(&mut tx, &policy, args.id, args.overlap, expires_at).await;
    let (id, token) = rotated.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    note(&format!("token {id}, with the rights of {}; it is shown this once", args.id));
    print(&format!("{}\n", token.reveal()))
}

/// A span of time as it is written on the command line: `7d`, `12h`, `30m`.
pub(crate) fn span(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "must be a number of days, hours or minutes, such as 7d, 12h or 30m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number = number.parse::<u16>().map_err(|_| wrong())?.into();
    match unit {
        "d" => Ok(TimeDelta::days(number)),
        "h" => Ok(TimeDelta::hours(number)),
        "m" => Ok(TimeDelta::minutes(number)),
        _ => Err(wrong()),
    }
}

/// Lists tokens: whether each is valid, until when, what it permits, who uses it, and when it was last used.
pub(crate) async fn list(config: &Config) -> Result<(), Failure> {
    let app = open(config).await?;
    let now = app.now();
    let recipients = entity::recipient::Entity::find().all(&app.db.reader).await.map_err(failure)?;
    let recipients: BTreeMap<Uuid, String> =
        recipients.into_iter().map(|found| (found.id, found.name)).collect();
    let mut text = String::new();
    for token in tokens::list(&app.db.reader).await.map_err(failure)? {
        let state = match token.revoked_at {
            Some(_) => "revoked",
            None if token.expires_at <= now => "expired",
            None => "valid",
        };
        let until = token.expires_at.format("%Y-%m-%d");
        let used = match token.last_used_at {
            Some(at) => at.format("last used %Y-%m-%d %H:%M").to_string(),
            None => "never used".to_owned(),
        };
        let recipient = token.recipient_id.and_then(|id| recipients.get(&id));
        let recipient = recipient.map(|name| format!("  recipient {name}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {state:<8}until {until}  {}  roles {}  purposes {}{recipient}  {used}",
            token.id, token.name, token.roles, token.purposes
        );
    }
    print(&text)
}

/// Prints the id that logs and the audit log have for a user. What the issuer calls him comes from standard input, since
/// arguments are seen by every process and kept by shells.
pub(crate) async fn actor(config: &Config, issuer: &str) -> Result<(), Failure> {
    let app = open(config).await?;
    let mut subject = String::new();
    std::io::stdin().lock().take(1024).read_to_string(&mut subject)?;
    let id = app.issuers.actor_id(issuer, subject.trim_end_matches(['\r', '\n']));
    let id = id.ok_or_else(|| Failure::Usage("there is no such issuer in the configuration".to_owned()))?;
    print(&format!("{id}\n"))
}

/// Ends a token.
pub(crate) async fn revoke(config: &Config, id: Uuid) -> Result<(), Failure> {
    let app = open(config).await?;
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    tokens::revoke(&mut tx, id).await.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    print(&format!("token {id} is revoked\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        assert_eq!(span("7d"), Ok(TimeDelta::days(7)));
        assert_eq!(span("12h"), Ok(TimeDelta::hours(12)));
        assert_eq!(span("0m"), Ok(TimeDelta::zero()));
        for wrong in ["", "d", "7", "-1d", "7 d", "1.5h", "7w", "70000d", "7ä", "ä"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
