//! The outcome of a line. Room: exchange/imports/consents.

use crate::{
    domain::consents::{BulkOutcome, SkipReason},
    exchange::imports::Reason,
};

/// The outcome of a line.
pub(super) enum RowOutcome {
    Done(BulkOutcome),
    /// An opt-out without a matching record; whether it is new.
    UnmatchedWithdrawal(bool),
    Rejected(Reason),
    /// Held back, because another line may be an opt-out that could not be read.
    HeldBack,
    /// Another line holds a later declaration of the same.
    Repeated,
}

impl From<SkipReason> for Reason {
    fn from(reason: SkipReason) -> Self {
        match reason {
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

/// The outcome of an opt-out, including what was added to the suppression list and objected to.
pub(super) fn with_suppression(outcome: &RowOutcome, is_listed: bool, is_objected: bool) -> RowOutcome {
    match outcome {
        RowOutcome::UnmatchedWithdrawal(_) => RowOutcome::UnmatchedWithdrawal(is_listed || is_objected),
        RowOutcome::Done(BulkOutcome::Unchanged) if is_listed || is_objected => {
            RowOutcome::Done(BulkOutcome::Applied)
        }
        RowOutcome::Rejected(reason) => RowOutcome::Rejected(*reason),
        RowOutcome::Done(outcome) => RowOutcome::Done(*outcome),
        RowOutcome::HeldBack => RowOutcome::HeldBack,
        RowOutcome::Repeated => RowOutcome::Repeated,
    }
}
