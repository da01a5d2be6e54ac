//! The declarations that a mailed link offers, and the mark that proves that they were read. Room: domain/signups.

use chrono::{DateTime, Utc};
use entity::enums::LinkKind;
use uuid::Uuid;

use crate::crypto::link_tokens;

/// A declaration that a link asks for, with the evidence of how it came to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The sign-up it belongs to, or the consent to renew: choices made together share it.
    pub set: Uuid,
    /// Code of the purpose.
    pub purpose: String,
    /// Its text in full.
    pub text: String,
    /// Language of the text.
    pub language: String,
    /// Version of the text.
    pub version: String,
    /// When the person signed up; `None` for a renewal.
    pub signed_up_at: Option<DateTime<Utc>>,
}

/// What a link asks the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Pending declarations, in the order in which they were chosen.
    pub offers: Vec<Offer>,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
    /// Whether it confirms or renews.
    pub kind: LinkKind,
}

impl Pending {
    /// The mark of everything that is asked: whoever answers with it has seen exactly these texts.
    pub fn mark(&self) -> String {
        mark(&self.offers)
    }

    /// Ids of the sets, each with its mark.
    pub fn sets(&self) -> Vec<(Uuid, String)> {
        sets(&self.offers)
    }
}

/// A digest of the offered texts.
pub(super) fn mark<'o>(offers: impl IntoIterator<Item = &'o Offer>) -> String {
    let parts = offers.into_iter().map(|offer| [&offer.purpose, &offer.language, &offer.version]);
    let mut parts: Vec<[&String; 3]> = parts.collect();
    parts.sort_unstable();
    let mut digest = link_tokens::hash(&serde_json::json!(parts).to_string());
    digest.truncate(32);
    digest
}

/// The sets in order, each with its mark.
pub(super) fn sets(offers: &[Offer]) -> Vec<(Uuid, String)> {
    let mut sets: Vec<Uuid> = offers.iter().map(|offer| offer.set).collect();
    sets.dedup();
    let of = |set| mark(offers.iter().filter(move |offer| offer.set == set));
    sets.into_iter().map(|set| (set, of(set))).collect()
}

/// What the person was shown and answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownOffers<'a> {
    /// Everything pending.
    All,
    /// What the link was mailed for, if nothing else has joined it.
    Own,
    /// What has this mark: everything, or one set.
    Mark(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(set: u128, purpose: &str, version: &str) -> Offer {
        Offer {
            set: Uuid::from_u128(set),
            purpose: purpose.to_owned(),
            text: String::new(),
            language: "en".to_owned(),
            version: version.to_owned(),
            signed_up_at: None,
        }
    }

    #[test]
    fn a_mark_is_that_of_the_texts_and_of_nothing_else() {
        let offers = [offer(1, "newsletter", "1"), offer(2, "events", "1")];
        let other = [offer(4, "events", "1"), offer(3, "newsletter", "1")];
        assert_eq!(mark(&offers), mark(&other));
        assert_ne!(mark(&offers), mark(&offers[..1]));
        assert_ne!(mark(&offers[..1]), mark(&[offer(1, "newsletter", "2")]));
        let sets = sets(&offers);
        assert_eq!(
            sets,
            [(Uuid::from_u128(1), mark(&offers[..1])), (Uuid::from_u128(2), mark(&offers[1..]))]
        );
    }
}
