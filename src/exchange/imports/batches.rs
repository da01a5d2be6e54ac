//! Batches of rows; each is read while the previous one is written. Room: exchange/imports.

use std::{io::Read, thread};

use tokio::sync::mpsc::{self, Receiver};

use super::{report::Problem, row_draft::Row, rows::Rows};
use crate::base::{error::Error, identities::Reader};

/// Rows that are read, and written in one transaction.
const BATCH_SIZE: usize = 100;

/// Rows that are written together, with their problems.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Valid rows.
    pub rows: Vec<Row>,
    /// Rejected rows that opt out.
    pub rejected_rows: Vec<Row>,
    /// How many rows the file had.
    pub read: u64,
    /// How many of them were rejected.
    pub rejected: u64,
    pub problems: Vec<Problem>,
    /// Names of contents without a field, one for each row.
    pub left_out: Vec<String>,
    /// Whether it is the last batch of the file.
    pub is_last: bool,
}

impl Batch {
    fn read<R: Read>(rows: &mut Rows<R>, reader: &Reader) -> Result<Self, Error> {
        let mut batch = Self::default();
        for _ in 0..BATCH_SIZE {
            let Some(checked) = rows.next()? else {
                batch.is_last = true;
                break;
            };
            batch.read += 1;
            batch.problems.extend(checked.problems);
            batch.left_out.extend(checked.left_out);
            batch.rejected_rows.extend(checked.rejected);
            match checked.row {
                Some(row) => batch.rows.push(row),
                None => batch.rejected += 1,
            }
        }
        for row in batch.rows.iter().chain(&batch.rejected_rows) {
            // Computes the address keys here, so that the writer does not wait for them.
            row.addresses(reader)?;
        }
        Ok(batch)
    }
}

/// The batches of a file, in its order.
pub(super) struct Batches(Receiver<Result<Batch, Error>>);

impl Batches {
    /// Reads `rows` in a thread of its own, at most two batches ahead of the writer. A program that ends does not wait
    /// for this thread, which may itself wait for a pipe.
    ///
    /// # Errors
    /// `INTERNAL` where there can be no further thread.
    pub fn spawn<R: Read + Send + 'static>(mut rows: Rows<R>, reader: Reader) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(1);
        let read = move || {
            loop {
                let batch = Batch::read(&mut rows, &reader);
                let has_more = batch.as_ref().is_ok_and(|batch| !batch.is_last);
                // The receiver is gone if the import was aborted.
                if sender.blocking_send(batch).is_err() || !has_more {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("import".to_owned()).spawn(read);
        thread.map_err(|_| Error::internal("a thread to read the file"))?;
        Ok(Self(receiver))
    }

    /// The next batch; none follows the last one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file cannot be read on.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        let next = self.0.recv().await;
        next.unwrap_or_else(|| Err(Error::internal("the reading of the file broke off")))
    }
}
