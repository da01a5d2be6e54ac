//! Rounds: each query by each kind in turn, so that what the machine does meanwhile meets all alike. Room: bench.

use std::path::Path;

use entity::{audit_entry, consent_change, consent_event};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde::Serialize;

use super::{
    BenchError, Options, Servers, Tokens,
    children::ticks_per_second,
    data::{self, Data},
    load::{Load, write_ids},
    queries::{Kind, Query},
};
use crate::app::App;

/// One query, by one kind, at so many connections.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The query.
    pub query: Query,
    /// Who answered.
    pub kind: Kind,
    /// Connections.
    pub connections: u32,
    /// Answers in a second.
    pub per_second: f64,
    /// Half of the answers took at most so long, in microseconds.
    #[serde(rename = "p50_us")]
    pub p50: f64,
    /// 99 of a hundred took at most so long, in microseconds.
    #[serde(rename = "p99_us")]
    pub p99: f64,
    /// Processor time of the server for one request, in microseconds.
    #[serde(rename = "cpu_us")]
    pub cpu: f64,
    /// Memory of the server afterwards, in KiB.
    #[serde(rename = "rss_kib")]
    pub resident: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// What is measured on.
pub struct Bench<'a> {
    /// The application, for what only the database tells.
    pub app: &'a App,
    /// Those who answer.
    pub servers: &'a Servers,
    /// Their tokens.
    pub tokens: &'a Tokens,
    /// What was written.
    pub data: &'a Data,
    /// Where scripts go.
    pub directory: &'a Path,
    /// How it is measured.
    pub options: &'a Options,
}

impl Bench<'_> {
    /// All samples of all rounds. `withdrawn` consents are left out of M1.
    ///
    /// # Errors
    /// `wrk` cannot be run, or the database does not tell.
    pub async fn rounds(&self, mut withdrawn: u64, say: &super::Say) -> Result<Vec<Sample>, BenchError> {
        let contacts = write_ids(self.directory, "contacts", &self.data.visible)?;
        let consents = write_ids(self.directory, "consents", &self.data.withdrawable)?;
        let ticks = ticks_per_second()?;
        let mut samples = Vec::new();
        for round in 0..=self.options.rounds {
            // The first warms up, and is not counted.
            let warm = round == 0;
            if warm && self.options.smoke {
                continue;
            }
            if !warm {
                say(&format!("round {round} of {}", self.options.rounds));
            }
            let levels = self.options.connections.iter().take(if warm { 1 } else { usize::MAX });
            for connections in levels {
                for (query, kind) in turned(round) {
                    let ids = if query == Query::M1 { &consents } else { &contacts };
                    let request = query.request(kind);
                    let load = Load {
                        request: &request,
                        token: if query == Query::Q4 { &self.tokens.denied } else { &self.tokens.allowed },
                        ids,
                        skipped: if query == Query::M1 { withdrawn } else { 0 },
                        port: self.servers.of(kind)?.port,
                        connections: *connections,
                        seconds: if warm { 1 } else { self.options.seconds },
                    };
                    let (sample, requests) = self.sample(query, kind, &load, ticks).await?;
                    if query == Query::M1 {
                        // Those under way when the time was over were withdrawn too.
                        withdrawn += requests + u64::from(*connections);
                    }
                    if !warm {
                        samples.push(sample);
                    }
                }
            }
        }
        Ok(samples)
    }

    async fn sample(
        &self,
        query: Query,
        kind: Kind,
        load: &Load<'_>,
        ticks: f64,
    ) -> Result<(Sample, u64), BenchError> {
        let server = self.servers.of(kind)?;
        let written = if query == Query::M1 { Some(self.written().await?) } else { None };
        let before = server.ticks()?;
        let found = load.run(self.directory).await?;
        let spent = server.ticks()?.saturating_sub(before);
        let mut failed = found.failed;
        if let Some(before) = written {
            // A refusal is answered with 200 as well: what counts is what was written.
            let after = self.written().await?;
            let lost =
                |(before, after): (&u64, &u64)| found.requests.saturating_sub(after.saturating_sub(*before));
            // What is withdrawn a second time is no change for those who follow.
            let reached = load.skipped + found.requests + u64::from(load.connections);
            let all = if reached <= self.data.withdrawable.len() as u64 { 3 } else { 2 };
            failed += before.iter().zip(&after).take(all).map(lost).max().unwrap_or_default();
        }
        #[expect(clippy::cast_precision_loss, reason = "figures with a few digits")]
        let (requests, spent) = (found.requests.max(1) as f64, spent as f64);
        let sample = Sample {
            query,
            kind,
            connections: load.connections,
            per_second: requests / found.seconds,
            p50: found.p50,
            p99: found.p99,
            cpu: spent / ticks * 1e6 / requests,
            resident: server.resident()?,
            failed,
        };
        Ok((sample, found.requests))
    }

    /// Events, audit entries and changes for those who follow there are.
    async fn written(&self) -> Result<[u64; 3], BenchError> {
        data::numbered(self.app).await?;
        let reader = &self.app.db.reader;
        let events = consent_event::Entity::find().count(reader).await;
        let entries = audit_entry::Entity::find().count(reader).await;
        let changes = consent_change::Entity::find().count(reader).await;
        let counts = events.and_then(|events| Ok([events, entries?, changes?]));
        counts.map_err(|error| BenchError::from(crate::base::error::Error::from(error)))
    }
}

/// Everything that is asked, with another kind first in each round.
fn turned(round: u32) -> Vec<(Query, Kind)> {
    let mut loads = Query::LOADS.to_vec();
    for group in loads.chunk_by_mut(|one, other| one.0 == other.0) {
        let by = usize::try_from(round).unwrap_or_default() % group.len();
        group.rotate_left(by);
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_asks_everybody_in_another_order() {
        let (one, other) = (turned(1), turned(2));
        assert_ne!(one, other);
        for loads in [one, other] {
            assert!(Query::LOADS.iter().all(|load| loads.contains(load)));
            assert_eq!(loads.len(), Query::LOADS.len());
        }
    }
}
