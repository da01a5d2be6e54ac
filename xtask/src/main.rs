//! Development tasks: `cargo demo` starts the demo, `cargo xtask check` runs what CI runs, in its order.

mod web;

use std::{
    io::{self, Write},
    process::Command,
};

use anyhow::{Context, bail};

const STEPS: &[(&[&str], &str)] = &[
    (&["fmt", "--all", "--check"], "cargo fmt --all"),
    (
        &["clippy", "--workspace", "--all-targets", "--profile", "ci", "--", "-D", "warnings"],
        "mend what clippy names",
    ),
    (&["test", "--workspace", "--profile", "ci"], "mend the failing test"),
];

/// Cargo as from a shell. What the outer cargo tells of this package would make build scripts of others run anew.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    let told = |name: &str| {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        of_package.iter().any(|prefix| name.starts_with(prefix)) || name == "OUT_DIR"
    };
    for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
        command.env_remove(name);
    }
    command
}

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => STEPS.iter().try_for_each(|(arguments, repair)| {
            let done = cargo().args(*arguments).status().context("cargo does not start")?;
            if !done.success() {
                bail!("`cargo {}` failed; to repair: {repair}", arguments.join(" "));
            }
            Ok(())
        }),
        Some("demo") => {
            let built = web::build(&web::directory(), |line| {
                // Who closed standard error wants to hear nothing.
                let _ = writeln!(io::stderr(), "{line}");
            });
            // Told under the tokens, where it does not scroll away.
            let page = built.err().into_iter().flat_map(|why| ["--page".to_owned(), why]);
            let arguments = page.chain(std::env::args().skip(2));
            let done = cargo()
                .args(["run", "--package", "zweck", "--bin", "zweck", "--", "demo"])
                .args(arguments)
                .env("ZWECK_LOG", "warn")
                .status()
                .context("cargo does not start")?;
            // Ended by Ctrl-C is ended well.
            if done.code().is_some_and(|code| code != 0) {
                bail!("the demo ended with an error");
            }
            Ok(())
        }
        _ => bail!("usage: cargo xtask check|demo"),
    }
}
