//! The public pages and the mails that link to them. Room: config.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::redacted;
use crate::base::i18n::LANGUAGES;

/// Longest base URL of this server, in characters: a scheme, a host (RFC 1035: 253) and a port.
pub const MAX_URL_CHARS: usize = 280;

/// `[pages]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublicPages {
    /// Whether `/p/...` is served.
    pub enabled: bool,
    /// Public base URL of this server, without a trailing slash, e.g. `https://crm.example`.
    pub public_url: Option<String>,
    /// Name of the controller (Art. 13(1)(a)).
    pub controller: Option<String>,
    /// Its postal address, on one line.
    pub controller_address: Option<String>,
    /// Its contact: an e-mail address or a phone number.
    pub controller_contact: Option<String>,
    /// URL of its privacy notice.
    pub privacy_url: Option<String>,
    /// Language for people whose language is unknown, `de` or `en`.
    pub language: String,
    /// Purpose under which people see and change their own consents; it must hold for every contact and see all.
    pub purpose: String,
    /// Hours until a confirmation or renewal link expires.
    pub confirm_hours: u32,
    /// Days after which an unconfirmed sign-up is deleted.
    pub unconfirmed_days: u32,
    /// Hours during which an address gets at most one mail of each kind.
    pub mail_hours: u32,
    /// Minutes until a link that shows a person their data expires.
    pub magic_link_minutes: u32,
    /// Forms that one client may submit per minute; 0 for no limit.
    pub posts_per_minute: u32,
}

impl Default for PublicPages {
    fn default() -> Self {
        Self {
            enabled: false,
            public_url: None,
            controller: None,
            controller_address: None,
            controller_contact: None,
            privacy_url: None,
            language: "de".to_owned(),
            purpose: "consent_management".to_owned(),
            confirm_hours: 48,
            unconfirmed_days: 7,
            mail_hours: 24,
            magic_link_minutes: 60,
            posts_per_minute: 20,
        }
    }
}

impl PublicPages {
    /// How long a confirmation link is valid.
    pub fn confirm_time(&self) -> TimeDelta {
        TimeDelta::hours(self.confirm_hours.into())
    }

    /// How long an unconfirmed sign-up is kept.
    pub fn unconfirmed_time(&self) -> TimeDelta {
        TimeDelta::days(self.unconfirmed_days.into())
    }

    /// The time during which an address gets at most one mail of each kind.
    pub fn mail_time(&self) -> TimeDelta {
        TimeDelta::hours(self.mail_hours.into())
    }

    /// How long a magic link is valid.
    pub fn magic_link_time(&self) -> TimeDelta {
        TimeDelta::minutes(self.magic_link_minutes.into())
    }

    /// The URL of a page below `/p/`.
    pub fn url(&self, path: &str) -> Option<String> {
        Some(format!("{}/p/{path}", self.public_url.as_deref()?))
    }

    pub(super) fn check(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if let Some(url) = &self.public_url
            && !is_base(url)
        {
            let text = "must be the address of this server for persons, e.g. https://crm.example: https (http for this machine \
                        alone), no path, no slash at the end";
            errors.push(format!("`pages.public_url` {text}"));
        }
        if self.public_url.as_ref().is_some_and(|url| url.len() > MAX_URL_CHARS) {
            errors.push(format!("`pages.public_url` must have at most {MAX_URL_CHARS} characters"));
        }
        if !LANGUAGES.contains(&self.language.as_str()) {
            errors.push(format!("`pages.language` must be one of {}", LANGUAGES.join(", ")));
        }
        if self.enabled {
            let needed = [
                ("public_url", self.public_url.is_some()),
                ("controller", self.controller.is_some()),
                ("controller_contact", self.controller_contact.is_some()),
            ];
            let missing = needed.into_iter().filter(|(_, there)| !there);
            errors.extend(
                missing.map(|(key, _)| format!("`pages.{key}` must be set where `pages.enabled` is")),
            );
        }
        let bounds = [
            ("confirm_hours", self.confirm_hours, 1, 720),
            ("unconfirmed_days", self.unconfirmed_days, 1, 366),
            ("mail_hours", self.mail_hours, 1, 720),
            ("magic_link_minutes", self.magic_link_minutes, 5, 1440),
            ("posts_per_minute", self.posts_per_minute, 0, 10_000),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                errors.push(format!("`pages.{key}` must be between {least} and {most}"));
            }
        }
        if self.unconfirmed_time() < self.confirm_time() {
            errors.push("`pages.unconfirmed_days` must not end before `pages.confirm_hours`".to_owned());
        }
        if self.unconfirmed_time() < self.mail_time() {
            // The record of a mail is deleted with the sign-up it was sent for.
            errors.push("`pages.mail_hours` must not be longer than `pages.unconfirmed_days`".to_owned());
        }
        errors
    }
}

/// Whether the URL consists of a scheme and a host only.
fn is_base(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let rest = match url.strip_prefix("https://") {
        Some(rest) => rest,
        None if local.iter().any(|start| url == *start || url.starts_with(&format!("{start}:"))) => {
            url.strip_prefix("http://").unwrap_or_default()
        }
        None => return false,
    };
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
}

/// `[mail]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// `smtps://USER:PASSWORD@HOST`, `smtp://HOST?tls=required` or, on this machine only, `smtp://127.0.0.1:25`.
    #[serde(serialize_with = "redacted::mail_url")]
    pub url: Option<String>,
    /// Sender of the mails, e.g. `Example <privacy@example.com>`.
    pub from: Option<String>,
}

impl fmt::Debug for Mail {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("url", &self.url.as_ref().map(|_| "***"))
            .field("from", &self.from)
            .finish()
    }
}

impl Mail {
    pub(super) fn check(&self, pages: &PublicPages) -> Vec<String> {
        let mut errors = Vec::new();
        if self.url.is_some() != self.from.is_some() {
            errors.push("`mail.url` and `mail.from` go together".to_owned());
        }
        if pages.enabled && self.url.is_none() {
            errors
                .push("`mail.url` must be set where `pages.enabled` is: pages send links by mail".to_owned());
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::is_base;

    #[test]
    fn addresses_of_servers_are_known() {
        for url in
            ["https://crm.example", "https://crm.example:8443", "http://127.0.0.1:8080", "http://localhost"]
        {
            assert!(is_base(url), "{url}");
        }
        for url in [
            "https://",
            "http://crm.example",
            "https://crm.example/",
            "https://crm.example/p",
            "https://a b",
            "http://localhost.example",
            "crm.example",
            "https://u:p@crm.example",
        ] {
            assert!(!is_base(url), "{url}");
        }
    }
}
