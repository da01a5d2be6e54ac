//! Suppression lists as programs export them: which columns name somebody, and what says that a row objects.
//! Room: exchange/imports/objections.
//!
//! Heads as these programs name them in 2026; where a program changes them, the file is refused and not read otherwise.

use entity::enums::Channel;

/// The condition of a column under which its row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowCondition {
    /// The column exists: the file contains nothing else.
    There,
    /// Its cell opts out.
    Says,
    /// Its cell is exactly TRUE.
    True,
    /// Its cell names channels, or all of them.
    Channels,
}

/// An export of suppressions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preset {
    pub name: &'static str,
    pub email: &'static [&'static str],
    pub phone: &'static [&'static str],
    /// When it was declared: the first that is filled.
    pub at: &'static [&'static str],
    /// Columns that say whether a row objects; any one suffices.
    pub conditions: &'static [(&'static str, RowCondition)],
    /// Columns of mail that did not get there.
    pub undeliverable: &'static [(&'static str, RowCondition)],
    /// Whether columns that are called otherwise and say TRUE are kinds of mail that the person does not want.
    pub kinds: bool,
    /// Columns of files that also contain persons who did not object: such a file is rejected without a condition.
    pub of_everybody: &'static [&'static str],
    /// Whether a file of addresses alone is a list of those who objected.
    pub bare: bool,
    pub channel: Option<Channel>,
}

/// The exports that are known.
pub(super) const PRESETS: &[Preset] = &[
    // "Export unsubscribes and bounces", or contacts with their property.
    Preset {
        name: "hubspot",
        email: &["Email", "Email Address", "Recipient"],
        phone: &[],
        at: &[],
        conditions: &[
            ("Portal Unsubscribe", RowCondition::Says),
            ("Portal Spam Report", RowCondition::Says),
            ("Global Unsubscribe", RowCondition::Says),
            ("Global Spam Report", RowCondition::Says),
            ("Unsubscribed from all email", RowCondition::Says),
        ],
        undeliverable: &[("Portal Bounce", RowCondition::Says), ("Global Bounce", RowCondition::Says)],
        kinds: true,
        of_everybody: &[],
        bare: false,
        channel: Some(Channel::Email),
    },
    // An audience is exported as three files; that of those who unsubscribed has these columns.
    Preset {
        name: "mailchimp",
        email: &["Email Address"],
        phone: &[],
        at: &["UNSUB_TIME", "OPTOUT_TIME", "CLEAN_TIME", "LAST_CHANGED"],
        conditions: &[
            ("UNSUB_TIME", RowCondition::There),
            ("UNSUB_CAMPAIGN_TITLE", RowCondition::There),
            ("UNSUB_CAMPAIGN_ID", RowCondition::There),
            ("UNSUB_REASON", RowCondition::There),
            ("OPTOUT_TIME", RowCondition::Says),
        ],
        undeliverable: &[
            ("CLEAN_TIME", RowCondition::Says),
            ("CLEAN_CAMPAIGN_TITLE", RowCondition::Says),
            ("CLEAN_CAMPAIGN_ID", RowCondition::Says),
        ],
        kinds: false,
        of_everybody: &[],
        bare: false,
        channel: Some(Channel::Email),
    },
    Preset {
        name: "brevo",
        email: &["EMAIL"],
        phone: &["SMS"],
        at: &[],
        conditions: &[
            ("_BLOCKLISTED", RowCondition::Channels),
            ("BLACKLISTED", RowCondition::Channels),
            ("EMAIL_BLACKLISTED", RowCondition::Says),
        ],
        undeliverable: &[],
        kinds: false,
        of_everybody: &[],
        bare: false,
        channel: Some(Channel::Email),
    },
    // Recipients with the time of their deactivation, 0 for none; or the blacklist, addresses alone.
    Preset {
        name: "cleverreach",
        email: &["email", "E-Mail", "E-Mail-Adresse"],
        phone: &[],
        at: &["deactivated"],
        conditions: &[("deactivated", RowCondition::Says)],
        undeliverable: &[("bounced", RowCondition::Says)],
        kinds: false,
        of_everybody: &["activated", "registered"],
        bare: true,
        channel: Some(Channel::Email),
    },
];
