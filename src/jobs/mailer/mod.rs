//! Hands mails over to an SMTP server, each once as far as anybody can tell. Room: jobs/mailer.

mod messages;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use entity::{enums::LinkKind, link, mail};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{Error as SmtpError, response::Category},
};
use sea_orm::EntityTrait;

use crate::{
    app::App,
    base::{error::Error, metrics},
    config::public_pages::Mail,
    domain::{
        mail_outbox::{self, Outcome, shown::Outbox},
        signups,
    },
};

/// How long the server may be silent.
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one mail may take, which is shorter than its lease.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);
/// Most mails that are tried in one go.
const MAX_MAILS_PER_RUN: u32 = 10_000;

/// What is said of an address that leads to no server.
const NO_SERVER: &str =
    "`mail.url` is not the address of an SMTP server, e.g. smtps://smtp.example.com or smtp://127.0.0.1:25";
/// What is said of a sender that is none.
const NO_SENDER: &str = "`mail.from` is not an e-mail address, nor a name and an address in angle brackets";

/// So many mails refused one after the other say something of the server, and nothing of those who were to get them.
const MAX_CONSECUTIVE_REFUSALS: u32 = 5;

/// Where mails go.
#[derive(Clone)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// Nowhere: they stay here to be looked at.
    Outbox(Outbox),
}

/// The way to the SMTP server. All clones know the same of it.
#[derive(Clone)]
pub struct Mailer {
    way: Way,
    from: Mailbox,
    /// Mails that were refused since the last that was taken; [`MAX_CONSECUTIVE_REFUSALS`] before the first.
    refused: Arc<AtomicU32>,
}

impl Mailer {
    /// The mailer that the settings describe, if they describe one. Nothing is connected yet.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an address that cannot be read; it is not told, since it may hold a password.
    pub fn new(settings: &Mail) -> Result<Option<Self>, Error> {
        let (Some(url), Some(from)) = (&settings.url, &settings.from) else { return Ok(None) };
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| Error::input(NO_SERVER))?;
        let from = from.parse().map_err(|_| Error::input(NO_SENDER))?;
        let refused = Arc::new(AtomicU32::new(MAX_CONSECUTIVE_REFUSALS));
        let way = Way::Smtp(builder.timeout(Some(SMTP_TIMEOUT)).build());
        Ok(Some(Self { way, from, refused }))
    }

    /// All that is wrong with the settings, each of which may be set without the other.
    pub fn faults(settings: &Mail) -> Vec<String> {
        let url = settings.url.as_ref();
        let no_server = url.is_some_and(|url| AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_err());
        let no_sender = settings.from.as_ref().is_some_and(|from| from.parse::<Mailbox>().is_err());
        let faults = [(no_server, NO_SERVER), (no_sender, NO_SENDER)];
        faults.into_iter().filter(|(wrong, _)| *wrong).map(|(_, fault)| fault.to_owned()).collect()
    }

    /// A mailer that sends nothing: what it would have sent lies in the outbox.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a sender that is no e-mail address.
    pub fn to_outbox(from: &str, outbox: Outbox) -> Result<Self, Error> {
        let from = from.parse().map_err(|_| Error::input("the sender is not an e-mail address"))?;
        Ok(Self { way: Way::Outbox(outbox), from, refused: Arc::default() })
    }

    /// Sends the mails that are due and gives the number of those handed over. When the server cannot be reached the rest waits.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn deliver(&self, app: &App) -> Result<u64, Error> {
        let mut sent = 0;
        for _ in 0..MAX_MAILS_PER_RUN {
            let Some(mut mail) = mail_outbox::take(app).await? else { break };
            let (outcome, reached) = self.attempt(app, &mut mail).await;
            let (outcome, reached) = self.weighed(outcome, reached);
            mail_outbox::settle(app, &mail, outcome).await?;
            metrics::mail(outcome.as_str());
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

    /// Takes a refusal for one of the mail only where the server takes others: one that relays for nobody refuses everybody alike, and no
    /// sign-up is lost by that. Where all are refused the rest waits.
    fn weighed(&self, outcome: Outcome, reached: bool) -> (Outcome, bool) {
        match outcome {
            Outcome::Sent => self.refused.store(0, Ordering::Relaxed),
            Outcome::GivenUp("REFUSED") | Outcome::Postponed("REFUSED_UNEXPLAINED" | "SENDER_REFUSED") => {
                let refused = self.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if refused > MAX_CONSECUTIVE_REFUSALS {
                    self.refused.store(MAX_CONSECUTIVE_REFUSALS, Ordering::Relaxed);
                    let outcome = match outcome {
                        Outcome::GivenUp(_) => Outcome::Postponed("REFUSED_ALIKE"),
                        outcome => outcome,
                    };
                    return (outcome, false);
                }
            }
            _ => {}
        }
        (outcome, reached)
    }

    /// Tries one mail; tells what came of it and whether there was a server.
    async fn attempt(&self, app: &App, mail: &mut mail::Model) -> (Outcome, bool) {
        let link = match link::Entity::find_by_id(mail.link_id).one(&app.db.reader).await {
            Ok(link) => link.filter(|link| link.expires_at > app.now()),
            Err(_) => return (Outcome::Postponed("NO_DATABASE"), true),
        };
        if let Some(why) = mail_outbox::withheld(mail) {
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
        let (message, plain) = match messages::write(app, &self.from, mail, &link).await {
            Ok(Some(letter)) => letter,
            Ok(None) => return (Outcome::GivenUp("UNUSABLE_ADDRESS"), true),
            Err(_) => return (Outcome::Postponed("NOT_WRITTEN"), true),
        };
        let transport = match &self.way {
            Way::Smtp(transport) => transport,
            Way::Outbox(outbox) => {
                outbox.put(plain);
                return (Outcome::Sent, true);
            }
        };
        // Greeting, TLS and log-in first: what fails there says nothing of this mail.
        match tokio::time::timeout(SEND_TIMEOUT, transport.test_connection()).await {
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
        match tokio::time::timeout(SEND_TIMEOUT, transport.send(message)).await {
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

/// The enhanced status code of a reply (RFC 3463): class, subject, detail.
fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ':' | ',' | ';')).find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse::<u16>().ok());
        match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
            (class @ (2 | 4 | 5), subject, detail, None) => Some((class, subject, detail)),
            _ => None,
        }
    })
}

/// What a reply that refuses for good means. Only one that speaks of the mailbox gives the mail up: a plain `550` may as well say that
/// the server does not relay for us.
fn refusal(text: &str) -> (Outcome, bool) {
    match enhanced(text) {
        // Of the sender's address: X.1.7, X.1.8.
        Some((_, 1, 7 | 8)) | Some((_, 7, _)) => (Outcome::Postponed("SENDER_REFUSED"), true),
        Some((_, 1 | 2, _)) => (Outcome::GivenUp("REFUSED"), true),
        _ => (Outcome::Postponed("REFUSED_UNEXPLAINED"), true),
    }
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
    if error.is_permanent() {
        return refusal(&error.to_string());
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
    fn only_what_speaks_of_the_mailbox_gives_a_mail_up() {
        for (text, outcome) in [
            ("permanent error (550): 5.1.1 <a@b.example>: user unknown", Outcome::GivenUp("REFUSED")),
            ("permanent error (552): 5.2.2 mailbox full", Outcome::GivenUp("REFUSED")),
            ("permanent error (553): 5.1.8 sender's domain not found", Outcome::Postponed("SENDER_REFUSED")),
            ("permanent error (554): 5.7.1 relay access denied", Outcome::Postponed("SENDER_REFUSED")),
            ("permanent error (550): relay not permitted", Outcome::Postponed("REFUSED_UNEXPLAINED")),
            (
                "permanent error (550): invalid recipient: <a.5.1.1@b.example>",
                Outcome::Postponed("REFUSED_UNEXPLAINED"),
            ),
            ("permanent error (554): transaction failed", Outcome::Postponed("REFUSED_UNEXPLAINED")),
            ("permanent error (550): 5.6.0 content refused", Outcome::Postponed("REFUSED_UNEXPLAINED")),
        ] {
            assert_eq!(refusal(text).0, outcome, "{text}");
        }
    }

    #[test]
    fn a_server_that_refuses_everybody_loses_no_mail() {
        let settings =
            Mail { url: Some("smtp://127.0.0.1:25".to_owned()), from: Some("a@b.example".to_owned()) };
        let mailer = Mailer::new(&settings).unwrap().unwrap();
        let refused = Outcome::GivenUp("REFUSED");
        // Before it has taken any.
        assert_eq!(mailer.weighed(refused, true), (Outcome::Postponed("REFUSED_ALIKE"), false));
        assert_eq!(mailer.weighed(Outcome::Sent, true), (Outcome::Sent, true));
        for _ in 0..MAX_CONSECUTIVE_REFUSALS {
            assert_eq!(mailer.weighed(refused, true), (refused, true));
        }
        assert_eq!(mailer.weighed(refused, true), (Outcome::Postponed("REFUSED_ALIKE"), false));
    }

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
