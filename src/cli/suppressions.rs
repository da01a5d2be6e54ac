//! `zweck suppressions`: what is on the suppression list, and when it was looked over. Room: cli.

use clap::Subcommand;
use zweck::{
    app::App,
    audit,
    config::Config,
    domain::suppressions::{self, Overview},
};

use super::{ACTOR, ListFormat, exit::CliError, failure, note, open, print};

/// What is done with the list.
#[derive(Subcommand)]
pub(crate) enum SuppressionsCommand {
    /// Summarise the suppression list by purpose and kind, and say when its next review is due. Shows no addresses;
    /// none are stored.
    Status {
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// Record the three-yearly review of the list; with --end, remove the entries of a purpose that no longer exists.
    Review {
        /// Code of a purpose that is no longer in the policy; repeatable.
        #[arg(long, value_name = "PURPOSE")]
        end: Vec<String>,
    },
}

/// Does it.
pub(crate) async fn run(config: &Config, command: SuppressionsCommand) -> Result<(), CliError> {
    match command {
        SuppressionsCommand::Status { format } => {
            let app = open(config).await?;
            let found = suppressions::overview(&app).await.map_err(failure)?;
            print(&match format {
                ListFormat::Text => text(&app, &found),
                ListFormat::Json => serde_json::to_string_pretty(&found)? + "\n",
            })
        }
        SuppressionsCommand::Review { end } => {
            let app = open(config).await?;
            let gone =
                audit::with_retry(|| suppressions::review(&app, ACTOR, &end)).await.map_err(failure)?;
            note(&format!("the list was looked over; {gone} entries went"));
            Ok(())
        }
    }
}

fn text(app: &App, found: &Overview) -> String {
    let day = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d").to_string();
    let mut rows = vec![["PURPOSE", "KIND", "ENTRIES", "FIRST", "LAST"].map(str::to_owned)];
    rows.extend(found.parts.iter().map(|part| {
        let purpose = if part.known { part.purpose.clone() } else { format!("{} (no more)", part.purpose) };
        [purpose, part.kind.clone(), part.entries.to_string(), day(part.first_at), day(part.last_at)]
    }));
    let widths: Vec<usize> = (0..5)
        .map(|column| rows.iter().map(|row| row.get(column).map_or(0, String::len)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&match (found.reviewed_at, found.due_at) {
        (_, None) => "nothing is on the list\n".to_owned(),
        (Some(at), Some(due)) => format!("looked over on {}, next until {}\n", day(at), day(due)),
        (None, Some(due)) => format!("never looked over, first until {}\n", day(due)),
    });
    if found.due_at.is_some_and(|due| due <= app.now()) {
        text.push_str("it is time to look it over: zweck suppressions review\n");
    }
    text
}
