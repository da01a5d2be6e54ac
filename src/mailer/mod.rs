//! Hands mails over to an SMTP server, each once as far as anybody can tell (floor 6).

mod letters;

use std::time::Duration;

use entity::{enums::LinkKind, link, mail};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{Error as SmtpError, response::Category},
};
use sea_orm::EntityTrait;

use crate::{
    config::pages::Mail,
    context::App,
    error::Error,
    mails::{self, Outcome},
    measures, signups,
};

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one mail may take, which is shorter than its lease.
const LONGEST: Duration = Duration::from_secs(120);
/// Most mails that are tried in one go.
const MOST: u32 = 10_000;

/// The way to the SMTP server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The mailer that the settings describe, if they describe one. Nothing is connected yet.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an address that cannot be read; it is not told, since it may hold a password.
    pub fn new(settings: &Mail) -> Result<Option<Self>, Error> {
        let (Some(url), Some(from)) = (&settings.url, &settings.from) else { return Ok(None) };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| Error::input("`mail.url` is not the address of an SMTP server"))?;
        let from = from.parse().map_err(|_| Error::input("`mail.from` is not an e-mail address"))?;
        Ok(Some(Self { transport: builder.timeout(Some(PATIENCE)).build(), from }))
    }

    /// Sends the mails that are due and gives the number of those handed over. When the server cannot be reached the rest waits.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn deliver(&self, app: &App) -> Result<u64, Error> {
        let mut sent = 0;
        for _ in 0..MOST {
            let Some(mut mail) = mails::take(app).await? else { break };
            let (outcome, reached) = self.attempt(app, &mut mail).await;
            mails::settle(app, &mail, outcome).await?;
            measures::mail(outcome.as_str());
            match outcome {
                Outcome::Sent => sent += 1,
                Outcome::Withheld(_) => {}
                Outcome::Postponed(fault) | Outcome::GivenUp(fault) => {
                    tracing::warn!(mail = %mail.id, fault, outcome = outcome.as_str(), "a mail was not handed over");
                }
            }
            if !reached {
                break;
            }
        }
        Ok(sent)
    }

    /// Tries one mail; tells what came of it and whether there was a server.
    async fn attempt(&self, app: &App, mail: &mut mail::Model) -> (Outcome, bool) {
        let link = match link::Entity::find_by_id(mail.link_id).one(&app.db.reader).await {
            Ok(link) => link.filter(|link| link.expires_at > app.now()),
            Err(_) => return (Outcome::Postponed("NO_DATABASE"), true),
        };
        if let Some(why) = mails::withheld(mail) {
            return (Outcome::Withheld(why), true);
        }
        // A link that has ended leads nowhere.
        let Some(link) = link else { return (Outcome::GivenUp("LINK_ENDED"), true) };
        if link.kind != LinkKind::Fresh {
            // What the link asks by now: more may have come to wait for it, and what was answered or ended since is nothing to write
            // to anybody about.
            let Ok(purposes) = signups::asks(app, &link).await else {
                return (Outcome::Postponed("NO_DATABASE"), true);
            };
            if purposes.is_empty() {
                return (Outcome::GivenUp("NOTHING_WAITS"), true);
            }
            mail.purposes = serde_json::json!(purposes).to_string();
        }
        let mail = &*mail;
        let message = match letters::write(app, &self.from, mail, &link).await {
            Ok(Some(message)) => message,
            Ok(None) => return (Outcome::GivenUp("UNUSABLE_ADDRESS"), true),
            Err(_) => return (Outcome::Postponed("NOT_WRITTEN"), true),
        };
        // Greeting, TLS and log-in first: what fails there says nothing of this mail.
        match tokio::time::timeout(LONGEST, self.transport.test_connection()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return (Outcome::Postponed("UNREACHABLE"), false),
            Ok(Err(error)) => {
                let (Outcome::Postponed(fault), _) = judge(&error) else {
                    return (Outcome::Postponed("UNREACHABLE"), false);
                };
                return (Outcome::Postponed(fault), false);
            }
            Err(_) => return (Outcome::Postponed("TIMED_OUT"), false),
        }
        match tokio::time::timeout(LONGEST, self.transport.send(message)).await {
            Ok(Ok(_)) => (Outcome::Sent, true),
            // The server has no letters for that name (RFC 6531); all else that it lacks says nothing of this mail.
            Ok(Err(error)) if error.is_client() && !is_ascii(mail) => {
                (Outcome::GivenUp("UNUSABLE_ADDRESS"), true)
            }
            Ok(Err(error)) => judge(&error),
            Err(_) => (Outcome::Postponed("TIMED_OUT"), false),
        }
    }
}

impl std::fmt::Debug for Mailer {
    /// The address of the server may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer(***)")
    }
}

fn is_ascii(mail: &mail::Model) -> bool {
    let name = mail.recipient.as_deref().and_then(|recipient| recipient.rsplit_once('@'));
    name.is_none_or(|(name, _)| name.is_ascii())
}

/// Whether the server refuses whoever sends and not the mail: 5.7.x of RFC 3463, and 554 where it gives no such code.
fn is_of_policy(error: &SmtpError) -> bool {
    let text = error.to_string();
    text.contains("5.7.") || (text.contains("554") && !text.contains("5.1."))
}

/// What an error of the server, or on the way to it, means. Its text is not kept: it may quote the address.
fn judge(error: &SmtpError) -> (Outcome, bool) {
    // What is wrong with our own credentials says nothing of the mail (RFC 4954: 530, 534, 535, 538).
    let ours = error
        .status()
        .is_some_and(|code| code.severity as u8 == 5 && matches!(code.category, Category::Unspecified3));
    if ours {
        return (Outcome::Postponed("NOT_AUTHENTICATED"), false);
    }
    if error.is_permanent() && !is_of_policy(error) {
        return (Outcome::GivenUp("REFUSED"), true);
    }
    if error.is_permanent() {
        return (Outcome::Postponed("SENDER_REFUSED"), false);
    }
    if error.is_transient() {
        return (Outcome::Postponed("REFUSED_FOR_NOW"), true);
    }
    if error.is_client() {
        // The server lacks what we ask of it: TLS, a way to log in.
        return (Outcome::Postponed("UNSUPPORTED"), false);
    }
    let fault = match (error.is_timeout(), error.is_tls()) {
        (true, _) => "TIMED_OUT",
        (_, true) => "TLS",
        _ => "UNREACHABLE",
    };
    (Outcome::Postponed(fault), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_not_told() {
        let mail = |url: &str, from: &str| Mail { url: Some(url.to_owned()), from: Some(from.to_owned()) };
        assert!(Mailer::new(&Mail::default()).unwrap().is_none());
        let good = Mailer::new(&mail("smtps://u:secret@smtp.example.com", "Example <privacy@example.com>"));
        assert_eq!(format!("{:?}", good.unwrap().unwrap()), "Mailer(***)");
        for (url, from) in [
            ("http://smtp.example.com", "privacy@example.com"),
            ("smtps://u:secret@", "privacy@example.com"),
            ("smtp://127.0.0.1:25", "nobody"),
            ("smtp://127.0.0.1:25", "a@b.example\r\nBcc: c@d.example"),
        ] {
            let refused = Mailer::new(&mail(url, from)).unwrap_err();
            assert!(!refused.message.contains("secret") && !refused.message.contains('@'), "{refused}");
        }
    }
}
