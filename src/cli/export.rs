//! `zweck export`. Room: cli.

use std::{
    io::{self, BufWriter, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use zweck::{
    app::App,
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        secret::{ExposeSecret, SecretString},
    },
    config::Config,
    domain::access_tokens::{self, BearerToken},
    exchange::exports::{self, Exported, Format},
    graphql::Pipeline,
    http,
};

use super::{
    exit::CliError,
    failure,
    files::{Output, Overwrite, named},
    note, open,
};

/// Who reads, and for what.
#[derive(Args)]
pub(crate) struct CallerArgs {
    /// File with the token, - for standard input (default: `secrets.token` of the configuration).
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Purpose of the read; optional if the token permits only one.
    #[arg(long)]
    purpose: Option<String>,
}

/// Who exports, and what becomes of it.
#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    caller: CallerArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = FormatArg::Csv)]
    format: FormatArg,
    /// Write to FILE, readable only by its owner and only when complete (default, or -: standard output).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    /// Comma-separated values, spreadsheet formulas neutralised.
    Csv,
    /// One contact as JSON on each line.
    Jsonl,
    /// vCards 4.0.
    Vcard,
}

/// Acts under a token, which is looked up for each use as the server does.
pub(crate) struct Caller {
    token: BearerToken,
    purpose: Option<String>,
}

impl Caller {
    /// Reads the token.
    pub(crate) fn new(config: &Config, args: &CallerArgs) -> Result<Self, CliError> {
        let text: SecretString = match args.token_file.as_deref() {
            None => config.secrets.token.clone().ok_or_else(|| {
                CliError::Usage("name a token by --token-file or ZWECK__SECRETS__TOKEN".to_owned())
            })?,
            Some(path) if path == Path::new("-") => {
                let mut text = String::new();
                io::stdin().take(1_000).read_to_string(&mut text)?;
                text.into()
            }
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .into(),
        };
        let token = BearerToken::parse(text.expose_secret().trim());
        let token = token.ok_or_else(|| CliError::Usage("this is not a token of Zweck".to_owned()))?;
        Ok(Self { token, purpose: args.purpose.clone() })
    }

    /// Who acts now.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `PURPOSE_NOT_PERMITTED`, and `PURPOSE_REQUIRED` where the token permits several.
    pub(crate) async fn actor(&self, app: &App) -> Result<Actor, Error> {
        let credential = access_tokens::authenticate(app, self.token.expose_secret()).await?;
        let request = format!("cli:{}", app.new_id());
        let actor = Actor::new(app.policy.current(), &credential, self.purpose.as_deref(), request)?;
        if actor.purpose.is_none() {
            return Err(Error::new(Code::PurposeRequired, "name the purpose by --purpose"));
        }
        Ok(actor)
    }
}

/// Exports contacts.
pub(crate) async fn contacts(config: &Config, args: ExportArgs) -> Result<(), CliError> {
    let caller = Caller::new(config, &args.caller)?;
    let named = named(args.output.as_deref());
    named.map(|path| args.overwrite.check_writable(path)).transpose()?;
    let app = open(config).await?;
    let output = named.map(|path| args.overwrite.create(path)).transpose()?;
    let pipeline = Pipeline::new().map_err(failure)?;
    let format = match args.format {
        FormatArg::Csv => Format::Csv,
        FormatArg::Jsonl => Format::JsonLines,
        FormatArg::Vcard => Format::VCard,
    };
    let work = write(&app, &pipeline, &caller, format, output);
    let exported = tokio::select! {
        done = work => done?,
        // What was written so far goes: half an export is none.
        () = http::stop_signal() => return Err(anyhow::anyhow!("stopped; nothing is kept").into()),
    };
    note(&summary(&exported));
    Ok(())
}

async fn write(
    app: &App,
    pipeline: &Pipeline,
    caller: &Caller,
    format: Format,
    output: Option<Output>,
) -> Result<Exported, CliError> {
    let actor = async || caller.actor(app).await;
    let Some(output) = output else {
        let out = BufWriter::new(io::stdout());
        return exports::contacts(app, pipeline, actor, format, out).await.map_err(refused);
    };
    let done = exports::contacts(app, pipeline, actor, format, BufWriter::new(output.file())).await;
    let exported = done.map_err(refused)?;
    output.commit()?;
    Ok(exported)
}

/// Why something is not readable, with its place.
pub(crate) fn refused(error: Error) -> CliError {
    let coordinate =
        error.coordinate.as_deref().map(|coordinate| format!(" ({coordinate})")).unwrap_or_default();
    match error.code {
        Code::BadUserInput | Code::PurposeRequired => failure(error),
        code => CliError::Failed(anyhow::anyhow!("{}{coordinate} [{code}]", error.message)),
    }
}

fn summary(exported: &Exported) -> String {
    let mut text = format!("{} contacts exported", exported.rows);
    if !exported.columns.left_out.is_empty() {
        text.push_str(&format!("\nleft out, not readable in full: {}", exported.columns.left_out.join(", ")));
    }
    if exported.blocked > 0 {
        text.push_str(&format!(
            "\n{} contacts are blocked by what the file does not tell: a consent that was withdrawn, somebody else at the address, or a list",
            exported.blocked
        ));
    }
    if !exported.columns.opt_outs {
        text.push_str("\nthe file does not tell who objects to advertising: it is not for advertising");
    }
    for (coordinate, count) in &exported.withheld {
        text.push_str(&format!("\nwithheld for want of consent: {coordinate} {count} times"));
    }
    text
}
