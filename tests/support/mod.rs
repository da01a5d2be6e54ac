//! What tests share.

pub mod app;
pub mod client;
pub mod database;
pub mod dump;
pub mod issuer;
pub mod log;
pub mod process;
pub mod smtp;
pub mod world;

/// Says why a test does less, past the harness, which keeps what passing tests print to itself.
pub fn skipped(reason: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes()).unwrap();
}

/// An import's report with the problems it told.
#[derive(Debug, serde::Serialize)]
pub struct Imported {
    pub problems: Vec<zweck::exchange::imports::Problem>,
    #[serde(flatten)]
    pub report: zweck::exchange::imports::ContactReport,
}

impl Imported {
    /// Each problem as line, column and reason.
    pub fn told(&self) -> Vec<(u64, Option<&str>, zweck::exchange::imports::Reason)> {
        self.problems.iter().map(|told| (told.line, told.column.as_deref(), told.reason)).collect()
    }
}

impl std::ops::Deref for Imported {
    type Target = zweck::exchange::imports::ContactReport;

    fn deref(&self) -> &Self::Target {
        &self.report
    }
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        self.report.fmt(f)
    }
}

/// Imports what `text` holds and keeps what is told.
pub async fn import(
    app: &zweck::app::App,
    text: &[u8],
    import: &zweck::exchange::imports::ContactImport,
) -> Result<Imported, zweck::base::error::Error> {
    import_from(app, std::io::Cursor::new(text.to_vec()), import).await
}

/// Imports `file` and keeps what is told.
pub async fn import_from<R: std::io::Read + Clone + Send + 'static>(
    app: &zweck::app::App,
    file: R,
    import: &zweck::exchange::imports::ContactImport,
) -> Result<Imported, zweck::base::error::Error> {
    let mut problems = Vec::new();
    let tell = |problem| {
        problems.push(problem);
        Ok(())
    };
    let report = zweck::exchange::imports::contacts(app, move || Ok(file.clone()), import, tell).await?;
    assert_eq!(report.rows, report.imported + report.updated + report.unchanged + report.rejected);
    let of_the_file =
        problems.iter().filter(|problem: &&zweck::exchange::imports::Problem| !problem.is_difference);
    assert_eq!(report.problems, u64::try_from(of_the_file.count()).unwrap());
    Ok(Imported { problems, report })
}

/// Whether the whole of a test is run and not CI's share of it.
#[expect(clippy::disallowed_methods, reason = "who wants it whole says so by an environment variable")]
pub fn in_full() -> bool {
    std::env::var("ZWECK_FULL").is_ok_and(|value| value == "1")
}

/// An import of nothing yet, for customer care under a contract.
pub fn an_import() -> zweck::exchange::imports::ContactImport {
    zweck::exchange::imports::ContactImport {
        map: Vec::new(),
        opt_outs: Vec::new(),
        ignore: Vec::new(),
        external_id: None,
        update: None,
        expected_version: None,
        source: "test".to_owned(),
        purpose: "customer_care".to_owned(),
        ground: "contract".to_owned(),
        since: None,
        actor: "cli:import".to_owned(),
        read_options: zweck::exchange::imports::ReadOptions::default(),
        informed_at: None,
        notice_version: None,
        dry_run: false,
    }
}
