//! What came out: medians over the rounds, ratios within the run, targets met and missed. Room: bench.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    measure::Sample,
    queries::{Kind, Query},
};

/// The machine and what ran on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor cores that this process may use.
    pub cores: usize,
    /// The processor, as the kernel names it.
    pub processor: String,
    /// Version of this program.
    pub version: &'static str,
    /// The commit it was built from, where the build was told so by `ZWECK_COMMIT`.
    pub commit: Option<&'static str>,
    /// Whether it was built without optimisation.
    pub debug: bool,
    /// Size of the program in bytes.
    pub program_bytes: u64,
}

/// What was found on one database.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Database and version.
    pub database: String,
    /// Contacts, consents and requests.
    pub rows: [u64; 3],
    /// Bytes of the answers to Q1 and Q3.
    pub answer_bytes: [usize; 2],
    /// From the start of the server to its first answer, in milliseconds; median.
    pub start_ms: f64,
    /// Memory of the server before any load, in KiB.
    #[serde(rename = "idle_rss_kib")]
    pub idle: u64,
    /// Medians over the rounds; none where nothing was loaded.
    pub figures: Vec<Figure>,
    /// Targets, as far as they can be judged.
    pub targets: Vec<Target>,
    /// Failed requests in all rounds.
    pub failed: u64,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When it was done.
    pub measured_at: DateTime<Utc>,
    /// The machine.
    pub machine: Machine,
    /// Seconds of one measure, and rounds.
    pub seconds: u32,
    /// Rounds.
    pub rounds: u32,
    /// One for each database.
    pub databases: Vec<Measured>,
}

/// The median of one query, by one kind, at so many connections.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The median; of memory the most, of failures the sum.
    #[serde(flatten)]
    pub sample: Sample,
    /// Fewest and most answers in a second that a round had.
    pub per_second_range: [f64; 2],
    /// How many times as many answers in a second as those by hand.
    pub of_hand: Option<f64>,
    /// How many times as many answers in a second as those of stock async-graphql.
    pub of_stock: Option<f64>,
}

/// A target.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// What is aimed at.
    pub name: String,
    /// What was found.
    pub found: f64,
    /// The limit.
    pub limit: f64,
    /// Whether more is better.
    pub at_least: bool,
    /// Whether it is met.
    pub met: bool,
}

impl Target {
    pub(super) fn new(name: impl Into<String>, found: f64, limit: f64, at_least: bool) -> Self {
        let met = if at_least { found >= limit } else { found <= limit };
        Self { name: name.into(), found, limit, at_least, met }
    }
}

/// The middle of `values`, or the mean of both middles; zero for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => at(half),
        _ => f64::midpoint(at(half - 1), at(half)),
    }
}

/// One figure for each query, kind and number of connections.
pub fn figures(samples: &[Sample]) -> Vec<Figure> {
    let mut medians: Vec<(Sample, [f64; 2])> = Vec::new();
    let key = |sample: &Sample| (sample.connections, sample.query, sample.kind);
    for first in samples {
        if medians.iter().any(|(median, _)| key(median) == key(first)) {
            continue;
        }
        let same: Vec<&Sample> = samples.iter().filter(|sample| key(sample) == key(first)).collect();
        let of = |figure: fn(&Sample) -> f64| median(same.iter().map(|sample| figure(sample)).collect());
        let rates = same.iter().map(|sample| sample.per_second);
        let range = [rates.clone().fold(f64::INFINITY, f64::min), rates.fold(0.0, f64::max)];
        let middle = Sample {
            per_second: of(|sample| sample.per_second),
            p50: of(|sample| sample.p50),
            p99: of(|sample| sample.p99),
            cpu: of(|sample| sample.cpu),
            resident: same.iter().map(|sample| sample.resident).max().unwrap_or_default(),
            failed: same.iter().map(|sample| sample.failed).sum(),
            ..first.clone()
        };
        medians.push((middle, range));
    }
    medians.sort_by_key(|(middle, _)| key(middle));
    let against = |sample: &Sample, kind: Kind| {
        let other = medians.iter().map(|(middle, _)| middle);
        let mut other = other.filter(|middle| key(middle) == (sample.connections, sample.query, kind));
        let theirs = other.next().filter(|_| kind != sample.kind)?.per_second;
        (theirs > 0.0).then(|| sample.per_second / theirs)
    };
    let figure = |(sample, range): &(Sample, [f64; 2])| Figure {
        of_hand: against(sample, Kind::Hand),
        of_stock: against(sample, Kind::Stock),
        per_second_range: *range,
        sample: sample.clone(),
    };
    medians.iter().map(figure).collect()
}

/// Connections at which targets are judged.
const JUDGED_CONNECTIONS: u32 = 16;

/// The first targets, as far as this run can judge them.
pub fn targets(figures: &[Figure], start_ms: f64, idle: u64) -> Vec<Target> {
    let ours = |figure: &&Figure| figure.sample.kind == Kind::Governed;
    let judged: Vec<&Figure> = figures
        .iter()
        .filter(ours)
        .filter(|figure| figure.sample.connections == JUDGED_CONNECTIONS)
        .collect();
    let of = |query: Query| judged.iter().find(|figure| figure.sample.query == query);
    let mut targets = Vec::new();
    for (query, limit) in [(Query::Q1, 0.90), (Query::Q2, 0.80), (Query::Q3, 0.90), (Query::M1, 0.80)] {
        let found = of(query).and_then(|figure| figure.of_hand);
        let name = format!("{} against hand", query.as_str());
        targets.extend(found.map(|found| Target::new(name, found, limit, true)));
    }
    for (query, limit) in [(Query::Q1, 3.0), (Query::Q2, 1.3), (Query::Q3, 2.0)] {
        let found = of(query).and_then(|figure| figure.of_stock);
        let name = format!("{} against stock", query.as_str());
        targets.extend(found.map(|found| Target::new(name, found, limit, true)));
    }
    if let (Some(denied), Some(allowed)) = (of(Query::Q4), of(Query::Q1)) {
        let found = denied.sample.per_second / allowed.sample.per_second.max(f64::MIN_POSITIVE);
        targets.push(Target::new("Q4 against Q1", found, 1.0, true));
    }
    for Figure { sample, .. } in judged {
        let name = format!("{}: p99 against p50", sample.query.as_str());
        targets.push(Target::new(name, sample.p99 / sample.p50.max(1.0), 3.0, false));
    }
    if let Some(loaded) = figures.iter().filter(ours).map(|figure| figure.sample.resident).max() {
        targets.push(Target::new("memory under load, MB", megabytes(loaded), 80.0, false));
    }
    targets.push(Target::new("memory before load, MB", megabytes(idle), 40.0, false));
    targets.push(Target::new("start to first answer, ms", start_ms, 300.0, false));
    targets
}

#[expect(clippy::cast_precision_loss, reason = "figures with a few digits")]
fn megabytes(kibibytes: u64) -> f64 {
    kibibytes as f64 * 1_024.0 / 1e6
}

impl Report {
    /// The report as a table.
    pub fn table(&self) -> String {
        let Machine { cores, processor, version, debug, program_bytes, .. } = &self.machine;
        let built = if *debug { ", built without optimisation: its figures mean nothing" } else { "" };
        let size = megabytes(program_bytes / 1_024);
        let mut out = format!("zweck {version}{built}, {size:.1} MB; {cores} cores, {processor}\n");
        for measured in &self.databases {
            out.push_str(&measured.table());
        }
        out
    }
}

impl Measured {
    fn table(&self) -> String {
        let ([contacts, consents, requests], [nested, flat]) = (self.rows, self.answer_bytes);
        let mut out = format!(
            "\n{}: {contacts} contacts, {consents} consents, {requests} requests; answers equal (Q1 {nested} bytes, Q3 {flat})\n",
            self.database
        );
        let mut level = None;
        for Figure { sample, of_hand, of_stock, .. } in &self.figures {
            let connections = sample.connections;
            if level.replace(connections) != Some(connections) {
                out.push_str(&format!(
                    "\n{:<13} {:>10} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8}  {connections} connections\n",
                    "", "requests/s", "p50 ms", "p99 ms", "CPU us", "MB", "of hand", "of stock",
                ));
            }
            let shown = |ratio: &Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            out.push_str(&format!(
                "{:<3} {:<9} {:>10.1} {:>9.2} {:>9.2} {:>9.1} {:>7.1} {:>8} {:>8}{}\n",
                sample.query.as_str(),
                sample.kind.as_str(),
                sample.per_second,
                sample.p50 / 1e3,
                sample.p99 / 1e3,
                sample.cpu,
                megabytes(sample.resident),
                shown(of_hand),
                shown(of_stock),
                if sample.failed > 0 { format!("  {} failed", sample.failed) } else { String::new() },
            ));
        }
        out.push('\n');
        for Target { name, found, limit, at_least, met } in &self.targets {
            let sign = if *at_least { ">=" } else { "<=" };
            let word = if *met { "met" } else { "missed" };
            out.push_str(&format!("{word:<7} {name}: {found:.2} ({sign} {limit})\n"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(query: Query, kind: Kind, per_second: f64) -> Sample {
        Sample {
            query,
            kind,
            connections: 16,
            per_second,
            p50: 1_000.0,
            p99: 2_500.0,
            cpu: 500.0,
            resident: 39_063,
            failed: 0,
        }
    }

    #[test]
    fn the_middle_counts() {
        assert_eq!(median(vec![3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
        let samples = [10.0, 30.0, 20.0].map(|rate| sample(Query::Q1, Kind::Hand, rate));
        let figures = figures(&samples);
        assert_eq!(
            (figures.len(), figures[0].sample.per_second, figures[0].per_second_range),
            (1, 20.0, [10.0, 30.0])
        );
    }

    #[test]
    fn targets_are_judged_by_ratios() {
        let figures = figures(&[
            sample(Query::Q1, Kind::Governed, 950.0),
            sample(Query::Q1, Kind::Hand, 1_000.0),
            sample(Query::Q1, Kind::Stock, 400.0),
            sample(Query::Q4, Kind::Governed, 900.0),
        ]);
        let targets = targets(&figures, 120.0, 50_000);
        let judged: Vec<(&str, bool)> =
            targets.iter().map(|target| (target.name.as_str(), target.met)).collect();
        assert_eq!(
            judged,
            [
                ("Q1 against hand", true),
                ("Q1 against stock", false),
                ("Q4 against Q1", false),
                ("Q1: p99 against p50", true),
                ("Q4: p99 against p50", true),
                ("memory under load, MB", true),
                ("memory before load, MB", false),
                ("start to first answer, ms", true),
            ]
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_figure() {
        let figures = figures(&[
            sample(Query::Q1, Kind::Governed, 950.0),
            sample(Query::Q1, Kind::Hand, 1_000.0),
            sample(Query::Q1, Kind::Stock, 380.0),
        ]);
        let targets = targets(&figures, 120.0, 30_000);
        let measured = Measured {
            database: "SQLite 3".to_owned(),
            rows: [1, 3, 1],
            answer_bytes: [100, 1_000],
            start_ms: 120.0,
            idle: 30_000,
            figures,
            targets,
            failed: 0,
        };
        let table = measured.table();
        let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        let words: Vec<String> = line("Q1  governed").split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["Q1", "governed", "950.0", "1.00", "2.50", "500.0", "40.0", "0.95", "2.50"]);
        assert!(line("Q1  hand").contains("2.63"), "{table}");
        assert!(line("missed").contains("Q1 against stock: 2.50 (>= 3)"), "{table}");
    }
}
