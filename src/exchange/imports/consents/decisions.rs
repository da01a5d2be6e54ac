//! Decides what becomes of each line of consents, against what is recorded by then. Room: exchange/imports/consents.

use uuid::Uuid;

use super::{
    ImportRun,
    lines::Line,
    outcomes::RowOutcome,
    targets::{
        UsedChannels, declaration_key, declarations_of, declaring_contacts, grant_declaration,
        named_contacts, sole_contact,
    },
};
use crate::{
    base::error::Error,
    domain::consents::{BulkOutcome, DeclaredState, ExistingConsents},
    exchange::imports::{Problem, Reason, contact_lookup::ContactMatches},
};

impl<T: FnMut(Problem) -> Result<(), Error> + Send> ImportRun<'_, T> {
    /// Decides about each line in order.
    pub(super) fn decide(
        &self,
        existing: &mut ExistingConsents,
        (matches, used): (&ContactMatches, &UsedChannels),
        lines: &[Line],
        new_id: &(dyn Fn() -> Uuid + Sync),
    ) -> Result<Vec<RowOutcome>, Error> {
        let mut outcomes = Vec::with_capacity(lines.len());
        for line in lines {
            outcomes.push(match &line.said {
                DeclaredState::Granted(_) => self.decide_grant(existing, matches, line, new_id)?,
                DeclaredState::Ended { .. } => {
                    let contacts = named_contacts(line, matches, existing);
                    let mut any_taken = false;
                    for declaration in
                        declarations_of(line, &declaring_contacts(line, matches, existing), used)
                    {
                        any_taken |=
                            existing.apply(&self.rules.policy, new_id, &declaration)? == BulkOutcome::Applied;
                    }
                    match (contacts.is_empty(), any_taken) {
                        (true, _) if line.persons.iter().all(|person| person.address().is_none()) => {
                            RowOutcome::Rejected(Reason::UnknownContact)
                        }
                        (true, _) => RowOutcome::UnmatchedWithdrawal(false),
                        (false, true) => RowOutcome::Done(BulkOutcome::Applied),
                        (false, false) => RowOutcome::Done(BulkOutcome::Unchanged),
                    }
                }
            });
        }
        Ok(outcomes)
    }

    fn decide_grant(
        &self,
        existing: &mut ExistingConsents,
        matches: &ContactMatches,
        line: &Line,
        new_id: &(dyn Fn() -> Uuid + Sync),
    ) -> Result<RowOutcome, Error> {
        let contact = match sole_contact(matches, existing, line) {
            Ok(contact) => contact,
            Err(reason) => return Ok(RowOutcome::Rejected(reason)),
        };
        let (Some(declaration), DeclaredState::Granted(grant)) =
            (grant_declaration(line, contact), &line.said)
        else {
            return Err(Error::internal("a consent to nothing"));
        };
        if self.held_back.has(contact, &declaration.purpose) {
            return Ok(RowOutcome::HeldBack);
        }
        let best = self.latest_grants.get(&declaration_key(&declaration)).map(|best| best.line);
        if best.is_some_and(|best| best != line.line)
            && existing.check_grant(&self.rules.policy, &declaration, grant).is_ok()
        {
            return Ok(RowOutcome::Repeated);
        }
        Ok(RowOutcome::Done(existing.apply(&self.rules.policy, new_id, &declaration)?))
    }
}
