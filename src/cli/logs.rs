//! What is logged, and how. Room: cli.
//!
//! The log holds ids and codes. Each request has a span of the highest level, which the task of its operation
//! inherits. Statements are not logged (`sqlx_logging(false)`), errors of the database by their kind alone, panics by
//! their place. `tests/support/log.rs` reads along with the whole test run at TRACE and ends it at the first line
//! with a seeded value, or anything that looks like an address, a number, a token or a key.

use std::io::IsTerminal;

use zweck::config::{Config, LogFormat};

use super::exit::CliError;

/// The log filter. It never includes connection frames, whatever is configured: they contain credentials.
pub(super) fn log_filter(filter_text: &str) -> Result<tracing_subscriber::EnvFilter, String> {
    let wrong = || "`log.filter` must be a level, or targets with theirs, e.g. info,zweck=debug".to_owned();
    let mut filter = tracing_subscriber::EnvFilter::try_new(filter_text).map_err(|_| wrong())?;
    // The more precise a directive, the more it counts: each module that logs frames is named.
    for quiet in [
        "tungstenite",
        "tungstenite::protocol",
        "tungstenite::protocol::frame",
        "tungstenite::protocol::frame::frame",
        "h2",
    ] {
        filter = filter.add_directive(format!("{quiet}=info").parse().map_err(|_| wrong())?);
    }
    // One line with the number of migrations says more than two lines for each.
    if !filter_text.contains("sea_orm_migration") {
        filter = filter.add_directive("sea_orm_migration=warn".parse().map_err(|_| wrong())?);
    }
    Ok(filter)
}

/// Log lines go to standard error. Panics are logged by their place alone: their text may quote values.
pub(crate) fn log(config: &Config, filter: &str) -> Result<(), CliError> {
    let filter = log_filter(filter).map_err(super::usage)?;
    let colours = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => lines.init(),
        // One object a line, with what it says and the request it is about at the top.
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_never_logged() {
        for wanted in ["trace", "tungstenite=trace,h2=trace", "info,tungstenite::protocol=trace"] {
            let filter = log_filter(wanted).ok().unwrap().to_string();
            let of = |name: &str| filter.split(',').filter(|part| part.starts_with(name)).collect::<Vec<_>>();
            assert_eq!(of("tungstenite="), ["tungstenite=info"], "{filter}");
            assert_eq!(of("tungstenite::protocol="), ["tungstenite::protocol=info"], "{filter}");
            assert_eq!(of("h2="), ["h2=info"], "{filter}");
        }
        assert!(log_filter("=,=").is_err());
    }
}
