//! What an import of consents would do. Room: exchange/imports/consents.

use std::collections::HashSet;

use super::{
    Run,
    fates::{Fate, with_list},
    lines::Line,
    meant::{all_told, find, key, speaking, used},
    telling::{self, By},
};
use crate::{
    audit::{self, Author},
    base::error::Error,
    domain::consents::{self as declared, ExistingConsents, Outcome, Said},
    exchange::imports::{
        Problem,
        known::{Who, ids},
        noes::About,
    },
};

impl<T: FnMut(Problem) -> Result<(), Error> + Send> Run<'_, T> {
    /// Says what would become of a batch, and writes nothing.
    pub(super) async fn trial(&mut self, lines: &[Line]) -> Result<Vec<Fate>, Error> {
        let reader = &self.app.db.reader;
        let known = find(reader, self.import, lines).await?;
        let ring = audit::existing_installation_keys(self.app).await?;
        let by = (self.rules.now(), self.import.actor.as_str());
        let mut present =
            ExistingConsents::read(reader, (ring, &self.app.reader), &ids(&known), false, by).await?;
        let new_id = || self.app.new_id();
        let used = used(reader, lines, &known).await?;
        let told: Vec<declared::Told> =
            lines.iter().flat_map(|line| all_told(line, &speaking(line, &known, &present), &used)).collect();
        // What earlier lines would have ended by now.
        let mut before: HashSet<u64> = HashSet::new();
        for told in &told {
            for ended in self.ended.get(&key(told)).filter(|_| before.insert(key(told))).into_iter().flatten()
            {
                present.take(&self.rules.policy, &new_id, ended)?;
            }
        }
        let mut fates = self.take(&mut present, (&known, &used), lines, &new_id)?;
        let noes: Vec<&Who> = lines.iter().filter(|line| line.is_no()).flat_map(|line| &line.who).collect();
        let about = About::read(reader, &self.app.reader, &known, &noes).await?;
        for (line, fate) in lines.iter().zip(&mut fates).filter(|(line, _)| line.is_no()) {
            let (policy, now) = (self.rules.policy.as_ref(), self.rules.now());
            let by = By { policy, ring, reader: &self.app.reader, now };
            let ended = matches!(fate, Fate::Done(Outcome::Taken));
            let listed = telling::is_news(reader, by, (line, ended), &about, &mut self.listed).await?;
            let objected = match line.objections.is_empty() {
                true => false,
                // Done and not kept.
                false => {
                    let author = Author::command(self.app, &self.import.actor, None);
                    let mut tx = audit::begin(self.app, author).await?;
                    self.named(std::slice::from_ref(line)).lock(&mut tx).await?;
                    self.object(&mut tx, line, &speaking(line, &known, &present)).await?
                }
            };
            *fate = with_list(fate, listed, objected);
        }
        for told in told.into_iter().filter(|told| matches!(told.said, Said::Ended { .. })) {
            self.ended.entry(key(&told)).or_default().push(told);
        }
        Ok(fates)
    }
}
