//! `zweck consents receipt` and `zweck consents verify-receipt`. Room: cli.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use zweck::{
    audit,
    config::Config,
    domain::receipts,
    exchange::exports::{self, ReceiptFormat},
    graphql::Pipeline,
};

use super::{
    exit::CliError,
    export::{Caller, CallerArgs, refused},
    failure,
    files::{Overwrite, named},
    note, open, print,
};

/// Largest file that is read: many times what a receipt with texts in every language has.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Which receipt is verified, and with what.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The receipt, JSON-LD.
    file: PathBuf,
    /// The published keys, as saved from /.well-known/zweck/keys.json (default: those of the database).
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Which receipt is wanted, and how.
#[derive(Args)]
pub(crate) struct ReceiptArgs {
    /// Id of the consent.
    id: uuid::Uuid,
    #[command(flatten)]
    caller: CallerArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = FormatArg::Jsonld)]
    format: FormatArg,
    /// Language of the printable record, de or en.
    #[arg(long, default_value = "en", value_parser = ["de", "en"])]
    language: String,
    /// Write to FILE, readable only by its owner (default, or -: standard output).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    /// The signed document.
    Jsonld,
    /// The printable record.
    Html,
}

/// Says whether a receipt is as it was signed.
pub(crate) async fn verify(config: &Config, args: VerifyArgs) -> Result<(), CliError> {
    let document = read(&args.file)?;
    let keys = match &args.keys {
        Some(path) => read(path)?,
        None => {
            let app = open(config).await?;
            let installation_keys = audit::installation_keys(&app).await.map_err(failure)?;
            receipts::published_keys(installation_keys, &app.pages).map_err(failure)?
        }
    };
    let key = receipts::verify(&document, &keys).map_err(failure)?;
    let value = |pointer: &str| plain(document.pointer(pointer).and_then(Value::as_str).unwrap_or("-"));
    print(&format!(
        "the receipt is as it was signed\nrecord   {}\nreceipt  {}\nissued   {}\nstatus   {}\nkey      {}\n",
        value("/record/record_id"),
        value("/receipt_id"),
        value("/issued"),
        value("/record/status"),
        key.kid,
    ))
}

/// Text that a terminal takes for nothing else.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn read(path: &Path) -> Result<Value, CliError> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .with_context(cannot_read)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CliError::Usage(format!("{} has more than {MAX_FILE_BYTES} bytes", path.display())));
    }
    receipts::parse(&bytes).map_err(failure)
}

/// Issues the receipt of a consent.
pub(crate) async fn receipt(config: &Config, args: ReceiptArgs) -> Result<(), CliError> {
    let caller = Caller::new(config, &args.caller)?;
    let named = named(args.out.as_deref());
    named.map(|path| args.overwrite.check_writable(path)).transpose()?;
    let app = open(config).await?;
    let output = named.map(|path| args.overwrite.create(path)).transpose()?;
    let pipeline = Pipeline::new().map_err(failure)?;
    let format = match (args.format, args.language.as_str()) {
        (FormatArg::Jsonld, _) => ReceiptFormat::JsonLd,
        (FormatArg::Html, "de") => ReceiptFormat::German,
        (FormatArg::Html, _) => ReceiptFormat::English,
    };
    let actor = caller.actor(&app).await.map_err(refused)?;
    let text = exports::receipt(&app, &pipeline, &actor, args.id, format).await.map_err(refused)?;
    let Some(output) = output else { return print(&format!("{text}\n")) };
    output.file().write_all(text.as_bytes())?;
    output.commit()?;
    note("the receipt is written");
    Ok(())
}
