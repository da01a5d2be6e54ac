//! Commands on access tokens and users. Room: cli.

use std::{collections::BTreeMap, fmt::Write as _, io::Read};

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use entity::access_token;
use sea_orm::EntityTrait;
use serde::Serialize;
use uuid::Uuid;
use zweck::{
    app::App,
    audit::{self, Author},
    config::Config,
    domain::access_tokens::{self, NewToken},
};

use super::{ACTOR, ListFormat, exit::CliError, failure, note, open, print};

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token and print it, once.
    Create(TokenArgs),
    /// List tokens: state, end, rights, recipient and last use.
    List {
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
        /// Only tokens in this state.
        #[arg(long, value_parser = ["valid", "expired", "revoked"])]
        state: Option<String>,
    },
    /// Issue a replacement for a token, with the same rights; the old one stays valid for --overlap.
    Rotate(RotateArgs),
    /// Print the pseudonymous ID that a user has in the logs (reads the OIDC subject from standard input).
    Actor {
        /// Short name of the issuer.
        issuer: String,
    },
    /// Revoke a token.
    Revoke {
        /// Id of the token, or its name if it is unique among valid tokens.
        token: String,
    },
}

/// Which token is rotated, and how.
#[derive(Args)]
pub(crate) struct RotateArgs {
    /// Id of the token, or its name if it is unique among valid tokens.
    token: String,
    /// How long the old token stays valid, e.g. 7d, 12h or 30m.
    #[arg(long, default_value = "7d", value_parser = span)]
    overlap: chrono::TimeDelta,
    /// Days until the new token expires, at most 366 (default: the lifetime of the old one).
    #[arg(long)]
    expires_in_days: Option<u16>,
}

/// What a new token permits.
#[derive(Args)]
pub(crate) struct TokenArgs {
    /// Name, shown to those who manage tokens.
    #[arg(long)]
    name: String,
    /// Role; repeatable.
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<String>,
    /// Code of a purpose; repeatable.
    #[arg(long = "purpose", required = true, value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// Restrict the token to this coordinate, e.g. Contact.email; repeatable.
    #[arg(long = "field", value_name = "COORDINATE")]
    fields: Vec<String>,
    /// Days until the token expires, at most 366.
    #[arg(long, default_value_t = 90)]
    expires_in_days: u16,
    /// Id of the recipient that uses it.
    #[arg(long)]
    recipient: Option<uuid::Uuid>,
}

/// Makes a token and prints it: to standard output the token alone, so that it can be piped.
pub(crate) async fn create(config: &Config, args: TokenArgs) -> Result<(), CliError> {
    let app = open(config).await?;
    let new = NewToken {
        name: args.name,
        roles: args.roles,
        purposes: args.purposes,
        fields: (!args.fields.is_empty()).then_some(args.fields),
        expires_at: app.now() + TimeDelta::days(i64::from(args.expires_in_days)),
        recipient_id: args.recipient,
    };
    new.check_use(&app.policy.current()).map_err(failure)?;
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    let (id, token) = access_tokens::create(&mut tx, &app.policy.current(), new).await.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    note(&format!("token {id}; it is shown this once"));
    print(&format!("{}\n", token.expose_secret()))
}

/// Makes a token with the rights of another and prints it, like a new one. The old one ends after the overlap.
pub(crate) async fn rotate(config: &Config, args: RotateArgs) -> Result<(), CliError> {
    let app = open(config).await?;
    let id = find_token(&app, &args.token).await?;
    let expires_at = args.expires_in_days.map(|days| app.now() + TimeDelta::days(i64::from(days)));
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    let policy = app.policy.current();
    let rotated = access_tokens::rotate(&mut tx, &policy, id, args.overlap, expires_at).await;
    let (next, token) = rotated.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    note(&format!("token {next}, with the rights of {id}; it is shown this once"));
    print(&format!("{}\n", token.expose_secret()))
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

/// A token as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: Uuid,
    state: &'static str,
    expires_at: DateTime<Utc>,
    name: String,
    roles: Vec<String>,
    purposes: Vec<String>,
    fields: Option<Vec<String>>,
    recipient: Option<String>,
    last_used_at: Option<DateTime<Utc>>,
}

/// Lists tokens: whether each is valid, until when, what it permits, who uses it, and when it was last used.
pub(crate) async fn list(config: &Config, format: ListFormat, state: Option<&str>) -> Result<(), CliError> {
    let app = open(config).await?;
    let now = app.now();
    let recipients = entity::recipient::Entity::find().all(&app.db.reader).await.map_err(failure)?;
    let recipients: BTreeMap<Uuid, String> =
        recipients.into_iter().map(|found| (found.id, found.name)).collect();
    let words = |text: &str| serde_json::from_str::<Vec<String>>(text);
    let mut all = Vec::new();
    for token in access_tokens::list(&app.db.reader).await.map_err(failure)? {
        let found = match token.revoked_at {
            Some(_) => "revoked",
            None if token.expires_at <= now => "expired",
            None => "valid",
        };
        if state.is_some_and(|state| state != found) {
            continue;
        }
        all.push(Listed {
            id: token.id,
            state: found,
            expires_at: token.expires_at,
            roles: words(&token.roles)?,
            purposes: words(&token.purposes)?,
            fields: token.fields.as_deref().map(words).transpose()?,
            recipient: token.recipient_id.and_then(|id| recipients.get(&id).cloned()),
            last_used_at: token.last_used_at,
            name: token.name,
        });
    }
    if format == ListFormat::Json {
        return print(&(serde_json::to_string_pretty(&all)? + "\n"));
    }
    let mut text = format!("{:<36}  {:<7} {:<16}  name, what it permits, last use\n", "id", "state", "until");
    for token in all {
        let until = token.expires_at.format("%Y-%m-%d");
        let used = match token.last_used_at {
            Some(at) => at.format("last used %Y-%m-%d %H:%M").to_string(),
            None => "never used".to_owned(),
        };
        let recipient = token.recipient.map(|name| format!("  recipient {name}")).unwrap_or_default();
        let fields = token.fields.map(|fields| format!("  fields {}", fields.join(", "))).unwrap_or_default();
        let (roles, purposes) = (token.roles.join(", "), token.purposes.join(", "));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<7} until {until}  {}  roles {roles}  purposes {purposes}{fields}{recipient}  {used}",
            token.id, token.state, token.name
        );
    }
    print(&text)
}

/// The token that is meant by its id, or by its name where no other valid one has it.
async fn find_token(app: &App, text: &str) -> Result<Uuid, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let now = app.now();
    let valid = |token: &access_token::Model| token.revoked_at.is_none() && token.expires_at > now;
    let found = access_tokens::list(&app.db.reader).await.map_err(failure)?;
    let found: Vec<Uuid> =
        found.into_iter().filter(|token| token.name == text && valid(token)).map(|token| token.id).collect();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(CliError::Usage(format!("there is no valid token `{text}`; `zweck token list` tells all"))),
        several => {
            let ids: Vec<String> = several.iter().map(Uuid::to_string).collect();
            Err(CliError::Usage(format!(
                "{} valid tokens are called `{text}`; name one by its id: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}

/// Prints the id that logs and the audit log have for a user. What the issuer calls him comes from standard input,
/// since arguments are seen by every process and kept by shells.
pub(crate) async fn actor(config: &Config, issuer: &str) -> Result<(), CliError> {
    let app = open(config).await?;
    let mut subject = String::new();
    std::io::stdin().lock().take(1024).read_to_string(&mut subject)?;
    let id = app.issuers.actor_id(issuer, subject.trim_end_matches(['\r', '\n']));
    let id = id.ok_or_else(|| CliError::Usage("there is no such issuer in the configuration".to_owned()))?;
    print(&format!("{id}\n"))
}

/// Ends a token.
pub(crate) async fn revoke(config: &Config, token: &str) -> Result<(), CliError> {
    let app = open(config).await?;
    let id = find_token(&app, token).await?;
    let mut tx = audit::begin(&app, Author::command(&app, ACTOR, None)).await.map_err(failure)?;
    access_tokens::revoke(&mut tx, id).await.map_err(failure)?;
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
