//! What becomes of a line. Room: exchange/imports/consents.

use crate::{
    domain::consents::{Outcome, SkipReason},
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

impl From<SkipReason> for Reason {
    fn from(hindrance: SkipReason) -> Self {
        match hindrance {
            SkipReason::NotActive => Reason::NotActive,
            SkipReason::OtherAddress => Reason::OtherAddress,
            SkipReason::Objected => Reason::Objected,
            SkipReason::Suppressed => Reason::Suppressed,
            SkipReason::Withdrawn => Reason::AlreadyWithdrawn,
            SkipReason::Refused => Reason::AlreadyRefused,
            SkipReason::Invalidated => Reason::AlreadyInvalidated,
            SkipReason::Expired => Reason::AlreadyExpired,
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
