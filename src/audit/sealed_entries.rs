//! Seals entries on another thread while the rows that they describe are written. Room: audit.

use entity::audit_entry;

use super::{Entry, EntryTiming, Stamp, Transaction, unavailable};
use crate::{base::error::Error, crypto::sealing::Sealer};

/// An entry, and its row if its values are already sealed.
type Sealed = (Entry, Option<audit_entry::ActiveModel>);

impl Transaction {
    /// Runs `writes` while a thread builds `entries` and seals those about subjects that this transaction created.
    /// The others are sealed afterwards, since their keys must be looked up.
    ///
    /// # Errors
    /// Those of `writes`; `AUDIT_UNAVAILABLE` if keys cannot be had.
    pub async fn record_while_writing<E>(
        &mut self,
        entries: E,
        writes: impl AsyncFnOnce(&Self) -> Result<(), Error>,
    ) -> Result<(), Error>
    where
        E: FnOnce() -> Vec<Entry> + Send + 'static,
    {
        if self.timing == EntryTiming::Deferred {
            writes(self).await?;
            for entry in entries() {
                self.record(entry).await?;
            }
            return Ok(());
        }
        // `writes` borrows the transaction shared, so it cannot record anything while the sealer is away.
        let (stamp, sealer) = (self.stamp.clone(), self.sealer.take_all());
        let sealing = tokio::task::spawn_blocking(move || seal(&stamp, sealer, entries()));
        writes(self).await?;
        let sealed = sealing.await.map_err(|_| Error::internal("entries cannot be sealed"))?;
        let (sealer, sealed) = sealed.map_err(unavailable)?;
        self.sealer = sealer;
        for (entry, row) in sealed {
            match row {
                Some(row) => self.add_entry(&entry, row),
                None => self.record(entry).await?,
            }
        }
        Ok(())
    }
}

fn seal(stamp: &Stamp, mut sealer: Sealer, entries: Vec<Entry>) -> Result<(Sealer, Vec<Sealed>), Error> {
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let (id, parts) = (stamp.new_id(), entry.changes.by_category()?);
        let sealed = sealer.seal_known(stamp.now, id, entry.subject(), &parts)?;
        let row = sealed.map(|sealed| stamp.row(id, &entry, sealed));
        all.push((entry, row));
    }
    Ok((sealer, all))
}
