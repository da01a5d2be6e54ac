//! The texts of mails: plain text, German or English, neutral, without personal names. Room: jobs/mailer.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use entity::{consent, enums::LinkKind, link, mail};
use lettre::{
    Address, Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
};
use sea_orm::EntityTrait;

use crate::domain::mail_outbox::demo_outbox::DemoMail as Plain;
use crate::{
    app::App,
    audit,
    base::{error::Error, i18n::MAILS},
    crypto::{
        installation_keys::InstallationKeys,
        link_tokens::{self, Preference},
    },
};

/// The message of `mail`, the same whenever it is written, unless more has come to wait for its link: a repeat is known
/// by its Message-ID. None for an address that no mail can be sent to.
///
/// # Errors
/// `INTERNAL` where a text, a key or the address of the pages is missing.
pub(super) async fn write(
    app: &App,
    from: &Mailbox,
    mail: &mail::Model,
    link: &link::Model,
) -> Result<Option<(Message, Plain)>, Error> {
    let Some(recipient) = mail.recipient.as_deref().and_then(address) else { return Ok(None) };
    let installation_keys = audit::installation_keys(app).await?;
    let preferences = preferences(app, installation_keys, mail, link)?;
    let mail_text = MailText { app, mail, link, preferences: preferences.as_deref() };
    let text = mail_text.text(&page(app, &link_tokens::one_time_token(installation_keys, link.id)?)?).await?;
    let subject = mail_text.say(mail_text.key("subject"), &[])?;
    let shown =
        Plain { to: recipient.to_string(), subject: subject.clone(), text: text.clone(), at: app.now() };
    let write_error = |_| Error::internal("a mail that cannot be written");
    let body =
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).map_err(write_error)?;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, recipient))
        .subject(subject)
        .date(SystemTime::from(mail.due_at.unwrap_or(mail.created_at)))
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        // RFC 3834: suppresses automatic replies.
        .raw_header(header("Auto-Submitted", "auto-generated")?);
    if let Some(url) = &preferences {
        // RFC 8058.
        builder = builder
            .raw_header(header("List-Unsubscribe", &format!("<{url}>"))?)
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")?);
    }
    builder
        .body(body)
        .map(|message| Some((message, shown)))
        .map_err(|_| Error::internal("a mail that cannot be written"))
}

/// The address with its domain in ASCII (RFC 5891).
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    Address::new(local, idna::domain_to_ascii(domain).ok()?).ok()
}

/// A header of ours, which holds nothing that a person has typed.
fn header(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| Error::internal("a header"))?;
    // Unencoded: folding would break the URL.
    Ok(HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned()))
}

fn page(app: &App, path: &str) -> Result<String, Error> {
    app.pages.url(path).ok_or_else(|| Error::internal("a mail without `pages.public_url`"))
}

/// The URL where the person can withdraw the consent that a mail asks to renew.
fn preferences(
    app: &App,
    installation_keys: &InstallationKeys,
    mail: &mail::Model,
    link: &link::Model,
) -> Result<Option<String>, Error> {
    let (LinkKind::Renew, Some(contact)) = (mail.kind, mail.contact_id) else { return Ok(None) };
    let Some(purpose) = purposes(mail)?.into_iter().next() else { return Ok(None) };
    let mailbox = link_tokens::Mailbox::from_key(installation_keys, &link.address_key)?;
    page(app, &link_tokens::preference(installation_keys, &Preference { contact, purpose, mailbox })?)
        .map(Some)
}

fn purposes(mail: &mail::Model) -> Result<Vec<String>, Error> {
    serde_json::from_str(&mail.purposes).map_err(|_| Error::internal("the purposes of a mail"))
}

struct MailText<'a> {
    app: &'a App,
    mail: &'a mail::Model,
    link: &'a link::Model,
    preferences: Option<&'a str>,
}

impl MailText<'_> {
    fn say(&self, key: &str, arguments: &[(&str, &str)]) -> Result<String, Error> {
        MAILS.text(&self.mail.language, key, arguments)
    }

    /// The key of a part of the letter.
    fn key(&self, part: &str) -> &'static str {
        match (self.mail.kind, part) {
            (LinkKind::Confirm, "subject") => "confirm-subject",
            (LinkKind::Confirm, "asked") => "confirm-asked",
            (LinkKind::Confirm, "do") => "confirm-do",
            (LinkKind::Confirm, "until") => "confirm-until",
            (LinkKind::Confirm, _) => "confirm-else",
            (LinkKind::Renew, "subject") => "renew-subject",
            (LinkKind::Renew, "asked") => "renew-asked",
            (LinkKind::Renew, "do") => "renew-do",
            (LinkKind::Renew, "until") => "renew-until",
            (LinkKind::Renew, _) => "renew-else",
            (LinkKind::Fresh, "subject") => "fresh-subject",
            (LinkKind::Fresh, "asked") => "fresh-asked",
            (LinkKind::Fresh, "do") => "fresh-do",
            (LinkKind::Fresh, "until") => "fresh-until",
            (LinkKind::Fresh, _) => "fresh-else",
        }
    }

    fn date(&self, at: DateTime<Utc>) -> String {
        match self.mail.language.as_str() {
            "en" => at.format("%-d %B %Y").to_string(),
            _ => at.format("%d.%m.%Y").to_string(),
        }
    }

    /// Titles of the purposes, one a line.
    fn titles(&self) -> Result<String, Error> {
        let policy = self.app.policy.current();
        let title = |code: &String| match (policy.purpose(code), self.mail.language.as_str()) {
            (Some(purpose), "en") => format!("- {}", purpose.title_en),
            (Some(purpose), _) => format!("- {}", purpose.title_de),
            (None, _) => format!("- {code}"),
        };
        Ok(purposes(self.mail)?.iter().map(title).collect::<Vec<_>>().join("\n"))
    }

    /// The whole text around `url`.
    async fn text(&self, url: &str) -> Result<String, Error> {
        let pages = &self.app.pages;
        let controller = pages.controller.as_deref().unwrap_or_default();
        let ends = match self.link.consent_id {
            Some(id) => consent::Entity::find_by_id(id).one(&self.app.db.reader).await?,
            None => None,
        };
        let ends = ends.and_then(|consent| consent.expires_at).map(|at| self.date(at)).unwrap_or_default();
        let until = self.link.expires_at;
        let (date, time) = (self.date(until), until.format("%H:%M").to_string());
        let until = self.say("instant", &[("date", &date), ("time", &time)])?;
        let mut parts = vec![
            self.say("greeting", &[])?,
            self.say(self.key("asked"), &[("controller", controller), ("ends", &ends)])?,
            self.titles()?,
            format!("{}\n{url}", self.say(self.key("do"), &[])?),
            self.say(self.key("until"), &[("until", &until)])?,
            self.say(self.key("else"), &[])?,
        ];
        if let (Some(last), Some(url)) = (parts.last_mut(), self.preferences) {
            last.push('\n');
            last.push_str(url);
        }
        parts.retain(|part| !part.is_empty());
        // The signature separator (RFC 3676, 4.3).
        let mut footer = vec!["-- ".to_owned()];
        let sender: Vec<&str> = [pages.controller.as_deref(), pages.controller_address.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        footer.push(self.say("sender", &[("controller", &sender.join(", "))])?);
        if let Some(contact) = &pages.controller_contact {
            footer.push(self.say("contact", &[("contact", contact)])?);
        }
        if let Some(url) = &pages.privacy_url {
            footer.push(self.say("privacy", &[("url", url)])?);
        }
        parts.push(footer.join("\n"));
        Ok(format!("{}\n", parts.join("\n\n")))
    }
}
