//! Dry run of an import of consents. Room: exchange/imports/consents.

use std::collections::HashSet;

use super::{
    ImportRun,
    lines::Line,
    outcomes::{RowOutcome, with_suppression},
    suppression_entries::{self, SuppressionContext},
    targets::{declaration_key, declarations_of, declaring_contacts, find_matches, load_used_channels},
};
use crate::{
    audit::{self, Author},
    base::error::Error,
    domain::consents::{self as declared, BulkOutcome, DeclaredState, ExistingConsents},
    exchange::imports::{
        Problem,
        contact_lookup::{PersonRef, contact_ids},
        lock_scope::PersonIdentities,
    },
};

impl<T: FnMut(Problem) -> Result<(), Error> + Send> ImportRun<'_, T> {
    /// Computes the outcomes of a batch without writing anything.
    pub(super) async fn trial(&mut self, lines: &[Line]) -> Result<Vec<RowOutcome>, Error> {
        let reader = &self.app.db.reader;
        let matches = find_matches(reader, self.import, lines).await?;
        let installation_keys = audit::existing_installation_keys(self.app).await?;
        let by = (self.rules.now(), self.import.actor.as_str());
        let mut existing = ExistingConsents::read(
            reader,
            (installation_keys, &self.app.identity_reader),
            &contact_ids(&matches),
            false,
            by,
        )
        .await?;
        let new_id = || self.app.new_id();
        let used = load_used_channels(reader, lines, &matches).await?;
        let declarations: Vec<declared::BulkDeclaration> = lines
            .iter()
            .flat_map(|line| declarations_of(line, &declaring_contacts(line, &matches, &existing), &used))
            .collect();
        // Applies what earlier lines would have ended by now.
        let mut applied: HashSet<u64> = HashSet::new();
        for declaration in &declarations {
            for ended in self
                .trial_ends
                .get(&declaration_key(declaration))
                .filter(|_| applied.insert(declaration_key(declaration)))
                .into_iter()
                .flatten()
            {
                existing.apply(&self.rules.policy, &new_id, ended)?;
            }
        }
        let mut outcomes = self.decide(&mut existing, (&matches, &used), lines, &new_id)?;
        let ending: Vec<&PersonRef> =
            lines.iter().filter(|line| line.is_no()).flat_map(|line| &line.persons).collect();
        let identities = PersonIdentities::read(reader, &self.app.identity_reader, &matches, &ending).await?;
        for (line, outcome) in lines.iter().zip(&mut outcomes).filter(|(line, _)| line.is_no()) {
            let (policy, now) = (self.rules.policy.as_ref(), self.rules.now());
            let by = SuppressionContext { policy, installation_keys, reader: &self.app.identity_reader, now };
            let ended = matches!(outcome, RowOutcome::Done(BulkOutcome::Applied));
            let is_listed = suppression_entries::is_new_in_trial(
                reader,
                by,
                (line, ended),
                &identities,
                &mut self.trial_suppressions,
            )
            .await?;
            let is_objected = match line.objections.is_empty() {
                true => false,
                // Done and not kept.
                false => {
                    let author = Author::command(self.app, &self.import.actor, None);
                    let mut tx = audit::begin(self.app, author).await?;
                    self.lock_scope(std::slice::from_ref(line)).lock(&mut tx).await?;
                    self.record_objections(&mut tx, line, &declaring_contacts(line, &matches, &existing))
                        .await?
                }
            };
            *outcome = with_suppression(outcome, is_listed, is_objected);
        }
        for declarations in declarations
            .into_iter()
            .filter(|declarations| matches!(declarations.state, DeclaredState::Ended { .. }))
        {
            self.trial_ends.entry(declaration_key(&declarations)).or_default().push(declarations);
        }
        Ok(outcomes)
    }
}
