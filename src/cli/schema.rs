//! The schema on the command line: all of it, or what a token would be shown. Room: cli.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use zweck::{
    auth::{actor::Actor, credential::Credential},
    base::clock::{Clock, SystemClock},
    config::Config,
    graphql::Pipeline,
    policy::Policy,
};

use super::{exit::CliError, failure, policy, print as out};

/// Which schema, and what is done with it.
#[derive(Args)]
pub(crate) struct SchemaArgs {
    /// Compare with FILE instead of printing the schema.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Only the part that a token in this role may use; repeatable.
    #[arg(long = "role", requires = "purposes", value_name = "ROLE")]
    roles: Vec<String>,
    /// Only the part that a token for this purpose may use; repeatable, each purpose by itself.
    #[arg(long = "purpose", requires = "roles", value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// Only the part that a token restricted to this coordinate may use, e.g. Contact.email; repeatable.
    #[arg(long = "field", requires = "roles", value_name = "COORDINATE")]
    fields: Vec<String>,
}

/// Prints the schema, or compares it with a file.
pub(crate) async fn print(config: &Config, args: &SchemaArgs) -> Result<(), CliError> {
    let pipeline = Pipeline::new().map_err(failure)?;
    let sdl = if args.roles.is_empty() {
        pipeline.sdl()
    } else {
        pipeline.sdl_for(&caller(policy(config).await?, args)?).map_err(failure)?
    };
    match &args.check {
        Some(file) => compare(file, &sdl, args.roles.is_empty()),
        None => out(&sdl),
    }
}

fn compare(file: &Path, sdl: &str, is_complete: bool) -> Result<(), CliError> {
    let kept = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if kept == sdl {
        return Ok(());
    }
    let file = file.display();
    let repair = if is_complete { format!("; run: zweck schema > {file}") } else { String::new() };
    Err(anyhow::anyhow!("{file} is not the schema of this program{repair}").into())
}

/// The actor of such a token. An unknown name is an error, not ignored.
fn caller(policy: Policy, args: &SchemaArgs) -> Result<Actor, CliError> {
    let unknown = |kind: &str, name: &str| CliError::Usage(format!("there is no {kind} `{name}`"));
    if let Some(role) = args.roles.iter().find(|role| !policy.roles().contains(role)) {
        return Err(unknown("role", role));
    }
    let is_purpose = |code: &str| policy.purpose(code).is_some_and(|purpose| !purpose.is_group);
    if let Some(code) = args.purposes.iter().find(|code| !is_purpose(code)) {
        return Err(unknown("purpose", code));
    }
    if let Some(field) = args.fields.iter().find(|field| policy.object(field).is_none()) {
        return Err(unknown("field", field));
    }
    let credential = Credential {
        actor_id: "cli:schema".to_owned(),
        roles: args.roles.clone(),
        purposes: args.purposes.clone(),
        fields: (!args.fields.is_empty()).then(|| args.fields.clone()),
        expires_at: SystemClock.now(),
        recipient: None,
    };
    Actor::new(policy.into(), &credential, None, String::new()).map_err(failure)
}
