//! `zweck completions` and `zweck man`. Room: cli.

use std::path::Path;

use anyhow::Context;
use clap_complete::Shell;

use super::{examples, exit::CliError, files::Overwrite, print};

/// Prints what a shell completes commands by.
pub(crate) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut examples::command(), "zweck", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Writes a page of the manual for each command.
pub(crate) fn write(directory: &Path, overwrite: Overwrite) -> Result<(), CliError> {
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let unwritten = || format!("the manual cannot be written to {}", directory.display());
    let beside = tempfile::Builder::new().prefix(".zweck-").tempdir_in(directory).with_context(unwritten)?;
    clap_mangen::generate_to(examples::command(), beside.path()).with_context(unwritten)?;
    let mut pages = Vec::new();
    for page in std::fs::read_dir(beside.path()).with_context(unwritten)? {
        let page = page.with_context(unwritten)?;
        pages.push((page.path(), directory.join(page.file_name())));
    }
    pages.sort();
    for (_, path) in &pages {
        overwrite.check_writable(path)?;
    }
    for (page, path) in pages {
        std::fs::rename(page, path).with_context(unwritten)?;
    }
    print(&format!("the manual is in {}; read it with: man -l {0}/zweck.1\n", directory.display()))
}
