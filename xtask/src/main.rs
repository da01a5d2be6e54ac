//! Development tasks: `cargo xtask check` runs what CI runs, in its order.

use std::process::Command;

use anyhow::{Context, bail};

const STEPS: &[(&[&str], &str)] = &[
    (&["fmt", "--all", "--check"], "cargo fmt --all"),
    (
        &["clippy", "--workspace", "--all-targets", "--profile", "ci", "--", "-D", "warnings"],
        "mend what clippy names",
    ),
    (&["test", "--workspace", "--profile", "ci"], "mend the failing test"),
];

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => STEPS.iter().try_for_each(|(arguments, repair)| {
            let done = Command::new("cargo").args(*arguments).status().context("cargo does not start")?;
            if !done.success() {
                bail!("`cargo {}` failed; to repair: {repair}", arguments.join(" "));
            }
            Ok(())
        }),
        _ => bail!("usage: cargo xtask check"),
    }
}
