//! Delivers mails to an SMTP server, at least once. Room: jobs/mailer.

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
        mail_outbox::{self, DeliveryOutcome, demo_outbox::DemoOutbox},
        signups,
    },
};

/// How long to wait for the SMTP server.
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long sending one mail may take; shorter than its lease.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);
/// Maximum number of mails per run.
const MAX_MAILS_PER_RUN: u32 = 10_000;

/// The error for an invalid SMTP URL.
const NO_SERVER: &str =
    "`mail.url` is not the URL of an SMTP server, e.g. smtps://smtp.example.com or smtp://127.0.0.1:25";
/// The error for an invalid sender.
const NO_SENDER: &str = "`mail.from` is not an e-mail address, nor a name and an address in angle brackets";

/// This many consecutive refusals indicate a problem of the server, not of the recipients.
const MAX_CONSECUTIVE_REFUSALS: u32 = 5;

/// Where mails go.
#[derive(Clone)]
enum MailTransport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// Mails are not sent but kept in memory for display.
    DemoOutbox(DemoOutbox),
}

/// Sends mails. All clones share their state.
#[derive(Clone)]
pub struct Mailer {
    transport: MailTransport,
    from: Mailbox,
    /// Refusals since the last accepted mail; [`MAX_CONSECUTIVE_REFUSALS`] before the first.
    consecutive_refusals: Arc<AtomicU32>,
}

impl Mailer {
    /// The mailer for the settings, if there are any. Does not connect yet.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an invalid URL, without quoting it, because it may contain a password.
    pub fn new(settings: &Mail) -> Result<Option<Self>, Error> {
        let (Some(url), Some(from)) = (&settings.url, &settings.from) else { return Ok(None) };
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| Error::bad_input(NO_SERVER))?;
        let from = from.parse().map_err(|_| Error::bad_input(NO_SENDER))?;
        let consecutive_refusals = Arc::new(AtomicU32::new(MAX_CONSECUTIVE_REFUSALS));
        let transport = MailTransport::Smtp(builder.timeout(Some(SMTP_TIMEOUT)).build());
        Ok(Some(Self { transport, from, consecutive_refusals }))
    }

    /// All errors of the settings, each of which may be set without the other.
    pub fn setting_errors(settings: &Mail) -> Vec<String> {
        let url = settings.url.as_ref();
        let no_server = url.is_some_and(|url| AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_err());
        let no_sender = settings.from.as_ref().is_some_and(|from| from.parse::<Mailbox>().is_err());
        let messages = [(no_server, NO_SERVER), (no_sender, NO_SENDER)];
        messages
            .into_iter()
            .filter(|(is_wrong, _)| *is_wrong)
            .map(|(_, message)| message.to_owned())
            .collect()
    }

    /// A mailer that sends nothing and puts mails into the outbox.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a sender that is no e-mail address.
    pub fn with_outbox(from: &str, outbox: DemoOutbox) -> Result<Self, Error> {
        let from = from.parse().map_err(|_| Error::bad_input("the sender is not an e-mail address"))?;
        Ok(Self { transport: MailTransport::DemoOutbox(outbox), from, consecutive_refusals: Arc::default() })
    }

    /// Sends the due mails and returns the number of accepted ones. Stops when the server cannot be reached.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn deliver(&self, app: &App) -> Result<u64, Error> {
        let mut sent = 0;
        for _ in 0..MAX_MAILS_PER_RUN {
            let Some(mut mail) = mail_outbox::lease_next(app).await? else { break };
            let (outcome, server_answered) = self.attempt(app, &mut mail).await;
            let (outcome, server_answered) = self.adjust_refusal(outcome, server_answered);
            mail_outbox::complete(app, &mail, outcome).await?;
            metrics::count_mail(outcome.as_str());
            match outcome {
                DeliveryOutcome::Sent => sent += 1,
                DeliveryOutcome::NotSent(_) => {}
                DeliveryOutcome::Deferred(fault) | DeliveryOutcome::Abandoned(fault) => {
                    tracing::warn!(mail = %mail.id, fault, outcome = outcome.as_str(), "a mail was not handed over");
                }
            }
            if !server_answered {
                break;
            }
        }
        Ok(sent)
    }

    /// Treats a refusal as final only if the server accepts other mails: a server that refuses every mail alike must
    /// not lose sign-ups. If all mails are refused, the rest waits.
    fn adjust_refusal(&self, outcome: DeliveryOutcome, server_answered: bool) -> (DeliveryOutcome, bool) {
        match outcome {
            DeliveryOutcome::Sent => self.consecutive_refusals.store(0, Ordering::Relaxed),
            DeliveryOutcome::Abandoned("REFUSED")
            | DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED" | "SENDER_REFUSED") => {
                let count = self.consecutive_refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if count > MAX_CONSECUTIVE_REFUSALS {
                    self.consecutive_refusals.store(MAX_CONSECUTIVE_REFUSALS, Ordering::Relaxed);
                    let outcome = match outcome {
                        DeliveryOutcome::Abandoned(_) => DeliveryOutcome::Deferred("REFUSED_ALIKE"),
                        outcome => outcome,
                    };
                    return (outcome, false);
                }
            }
            _ => {}
        }
        (outcome, server_answered)
    }

    /// Tries to send one mail; returns the outcome and whether the server answered.
    async fn attempt(&self, app: &App, mail: &mut mail::Model) -> (DeliveryOutcome, bool) {
        let link = match link::Entity::find_by_id(mail.link_id).one(&app.db.reader).await {
            Ok(link) => link.filter(|link| link.expires_at > app.now()),
            Err(_) => return (DeliveryOutcome::Deferred("NO_DATABASE"), true),
        };
        if let Some(reason) = mail_outbox::not_sent_reason(mail) {
            return (DeliveryOutcome::NotSent(reason), true);
        }
        // An expired link is useless.
        let Some(link) = link else { return (DeliveryOutcome::Abandoned("LINK_ENDED"), true) };
        if link.kind != LinkKind::Fresh {
            // The purposes that the link covers now: some may have been added, and answered or ended ones need no mail.
            let Ok(purposes) = signups::requested_purposes(app, &link).await else {
                return (DeliveryOutcome::Deferred("NO_DATABASE"), true);
            };
            if purposes.is_empty() {
                return (DeliveryOutcome::Abandoned("NOTHING_WAITS"), true);
            }
            mail.purposes = serde_json::json!(purposes).to_string();
        }
        let mail = &*mail;
        let (message, plain) = match messages::write(app, &self.from, mail, &link).await {
            Ok(Some(message)) => message,
            Ok(None) => return (DeliveryOutcome::Abandoned("UNUSABLE_ADDRESS"), true),
            Err(_) => return (DeliveryOutcome::Deferred("NOT_WRITTEN"), true),
        };
        let transport = match &self.transport {
            MailTransport::Smtp(transport) => transport,
            MailTransport::DemoOutbox(outbox) => {
                outbox.push(plain);
                return (DeliveryOutcome::Sent, true);
            }
        };
        // Greeting, TLS and login first: a failure there does not concern this mail.
        match tokio::time::timeout(SEND_TIMEOUT, transport.test_connection()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return (DeliveryOutcome::Deferred("UNREACHABLE"), false),
            Ok(Err(error)) => {
                let (DeliveryOutcome::Deferred(reason), _) = classify_error(&error) else {
                    return (DeliveryOutcome::Deferred("UNREACHABLE"), false);
                };
                return (DeliveryOutcome::Deferred(reason), false);
            }
            Err(_) => return (DeliveryOutcome::Deferred("TIMED_OUT"), false),
        }
        match tokio::time::timeout(SEND_TIMEOUT, transport.send(message)).await {
            Ok(Ok(_)) => (DeliveryOutcome::Sent, true),
            // The server does not support this address (RFC 6531); any other missing feature does not concern this
            // mail.
            Ok(Err(error)) if error.is_client() && !is_ascii(mail) => {
                (DeliveryOutcome::Abandoned("UNUSABLE_ADDRESS"), true)
            }
            Ok(Err(error)) => classify_error(&error),
            Err(_) => (DeliveryOutcome::Deferred("TIMED_OUT"), false),
        }
    }
}

impl std::fmt::Debug for Mailer {
    /// The URL of the server may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer(***)")
    }
}

fn is_ascii(mail: &mail::Model) -> bool {
    let name = mail.recipient.as_deref().and_then(|recipient| recipient.rsplit_once('@'));
    name.is_none_or(|(name, _)| name.is_ascii())
}

/// The enhanced status code of a reply (RFC 3463): class, subject, detail.
fn enhanced_status(text: &str) -> Option<(u16, u16, u16)> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ':' | ',' | ';')).find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse::<u16>().ok());
        match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
            (class @ (2 | 4 | 5), subject, detail, None) => Some((class, subject, detail)),
            _ => None,
        }
    })
}

/// Classifies a permanent refusal. Only one about the mailbox is final for the mail: a plain `550` may also mean that
/// the server does not relay for us.
fn classify_refusal(text: &str) -> (DeliveryOutcome, bool) {
    match enhanced_status(text) {
        // About the sender address: X.1.7, X.1.8.
        Some((_, 1, 7 | 8)) | Some((_, 7, _)) => (DeliveryOutcome::Deferred("SENDER_REFUSED"), true),
        Some((_, 1 | 2, _)) => (DeliveryOutcome::Abandoned("REFUSED"), true),
        _ => (DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED"), true),
    }
}

/// Classifies an SMTP or connection error. Its text is dropped, because it may quote the address.
fn classify_error(error: &SmtpError) -> (DeliveryOutcome, bool) {
    // An authentication error does not concern the mail (RFC 4954: 530, 534, 535, 538).
    let is_authentication = error
        .status()
        .is_some_and(|code| code.severity as u8 == 5 && matches!(code.category, Category::Unspecified3));
    if is_authentication {
        return (DeliveryOutcome::Deferred("NOT_AUTHENTICATED"), false);
    }
    if error.is_permanent() {
        return classify_refusal(&error.to_string());
    }
    if error.is_transient() {
        return (DeliveryOutcome::Deferred("REFUSED_FOR_NOW"), true);
    }
    if error.is_client() {
        // The server lacks a required feature: TLS or an authentication mechanism.
        return (DeliveryOutcome::Deferred("UNSUPPORTED"), false);
    }
    let reason = match (error.is_timeout(), error.is_tls()) {
        (true, _) => "TIMED_OUT",
        (_, true) => "TLS",
        _ => "UNREACHABLE",
    };
    (DeliveryOutcome::Deferred(reason), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_of_the_mailbox_gives_a_mail_up() {
        for (text, outcome) in [
            (
                "permanent error (550): 5.1.1 <a@b.example>: user unknown",
                DeliveryOutcome::Abandoned("REFUSED"),
            ),
            ("permanent error (552): 5.2.2 mailbox full", DeliveryOutcome::Abandoned("REFUSED")),
            (
                "permanent error (553): 5.1.8 sender's domain not found",
                DeliveryOutcome::Deferred("SENDER_REFUSED"),
            ),
            ("permanent error (554): 5.7.1 relay access denied", DeliveryOutcome::Deferred("SENDER_REFUSED")),
            ("permanent error (550): relay not permitted", DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED")),
            (
                "permanent error (550): invalid recipient: <a.5.1.1@b.example>",
                DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED"),
            ),
            ("permanent error (554): transaction failed", DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED")),
            (
                "permanent error (550): 5.6.0 content refused",
                DeliveryOutcome::Deferred("REFUSED_UNEXPLAINED"),
            ),
        ] {
            assert_eq!(classify_refusal(text).0, outcome, "{text}");
        }
    }

    #[test]
    fn a_server_that_refuses_everybody_loses_no_mail() {
        let settings =
            Mail { url: Some("smtp://127.0.0.1:25".to_owned()), from: Some("a@b.example".to_owned()) };
        let mailer = Mailer::new(&settings).unwrap().unwrap();
        let refused = DeliveryOutcome::Abandoned("REFUSED");
        // Before it has taken any.
        assert_eq!(mailer.adjust_refusal(refused, true), (DeliveryOutcome::Deferred("REFUSED_ALIKE"), false));
        assert_eq!(mailer.adjust_refusal(DeliveryOutcome::Sent, true), (DeliveryOutcome::Sent, true));
        for _ in 0..MAX_CONSECUTIVE_REFUSALS {
            assert_eq!(mailer.adjust_refusal(refused, true), (refused, true));
        }
        assert_eq!(mailer.adjust_refusal(refused, true), (DeliveryOutcome::Deferred("REFUSED_ALIKE"), false));
    }

    #[test]
    fn settings_are_read_and_not_told() {
        let mail = |url: &str, from: &str| Mail { url: Some(url.to_owned()), from: Some(from.to_owned()) };
        assert!(Mailer::new(&Mail::default()).unwrap().is_none());
        let mailer = Mailer::new(&mail("smtps://u:secret@smtp.example.com", "Example <privacy@example.com>"));
        assert_eq!(format!("{:?}", mailer.unwrap().unwrap()), "Mailer(***)");
        for (url, from) in [
            ("http://smtp.example.com", "privacy@example.com"),
            ("smtps://u:secret@", "privacy@example.com"),
            ("smtp://127.0.0.1:25", "nobody"),
            ("smtp://127.0.0.1:25", "a@b.example\r\nBcc: c@d.example"),
        ] {
            let error = Mailer::new(&mail(url, from)).unwrap_err();
            assert!(!error.message.contains("secret") && !error.message.contains('@'), "{error}");
        }
    }
}
