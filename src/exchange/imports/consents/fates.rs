//! What becomes of a line. Room: exchange/imports/consents.

use crate::{
    domain::consents::{Hindrance, Outcome},
    exchange::imports::Reason,
};

/// What became of a line.
pub(super) enum Fate {
    Done(Outcome),
    /// A no that met no record; whether that is new.
    Stray(bool),
    Rejected(Reason),
    /// A line that may say no could not be taken.
    HeldBack,
    /// Another line tells of a later declaration of the same.
    Repeated,
}

impl From<Hindrance> for Reason {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::NotActive => Reason::NotActive,
            Hindrance::OtherAddress => Reason::OtherAddress,
            Hindrance::Objected => Reason::Objected,
            Hindrance::Suppressed => Reason::Suppressed,
            Hindrance::Withdrawn => Reason::AlreadyWithdrawn,
            Hindrance::Refused => Reason::AlreadyRefused,
            Hindrance::Invalidated => Reason::AlreadyInvalidated,
            Hindrance::Expired => Reason::AlreadyExpired,
        }
    }
}

/// What became of a no, with what was put on the list and objected to.
pub(super) fn with_list(fate: &Fate, listed: bool, objected: bool) -> Fate {
    match fate {
        Fate::Stray(_) => Fate::Stray(listed || objected),
        Fate::Done(Outcome::Unchanged) if listed || objected => Fate::Done(Outcome::Taken),
        Fate::Rejected(reason) => Fate::Rejected(*reason),
        Fate::Done(outcome) => Fate::Done(*outcome),
        Fate::HeldBack => Fate::HeldBack,
        Fate::Repeated => Fate::Repeated,
    }
}
