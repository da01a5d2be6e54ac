//! The policy workbench: check, test, explain, compare and print what is enforced. Room: cli.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use zweck::{
    config::Config,
    jobs::policy_watch,
    policy::{
        Action, Decision, Permission, PermissionFilter, Policy,
        cases::{self, CaseFailure},
    },
    registry,
};

use super::{
    ListFormat,
    exit::CliError,
    files::{Overwrite, is_output, named},
    matrix, note, policy, policy_failure, print, sources, untested_policy,
};

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load the policy strictly; report errors and warnings.
    Check,
    /// Run the decisions named in cases.yaml.
    Test {
        /// Write the outcome as JUnit XML to FILE.
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
        /// List rights that no case covers instead; removing one of them would go unnoticed.
        #[arg(long)]
        coverage: bool,
        /// With `--coverage`: list denied fields that no case covers; allowing one of them would go unnoticed.
        #[arg(long, requires = "coverage")]
        denied: bool,
        /// With `--coverage`: only this role.
        #[arg(long, requires = "coverage")]
        role: Option<String>,
        /// With `--coverage`: only this purpose.
        #[arg(long, requires = "coverage")]
        purpose: Option<String>,
        /// With `--coverage`: only this type, e.g. Contact.
        #[arg(long = "type", value_name = "TYPE", requires = "coverage")]
        type_name: Option<String>,
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// Show a decision and the rules that led to it.
    Explain {
        /// Field, root field or grant, e.g. Contact.email, Mutation.updateContact, token:role:partner.
        object: String,
        /// The role.
        #[arg(long)]
        role: String,
        /// The purpose.
        #[arg(long)]
        purpose: String,
        /// read, mask, create, update, execute or grant.
        #[arg(long, default_value = "read")]
        action: String,
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// Print all rights: who may do what for which purpose.
    Matrix(matrix::MatrixArgs),
    /// Print the rights gained and lost between two directories of policy files.
    Diff {
        /// Directory of the old policy.
        old: PathBuf,
        /// Directory of the new policy.
        new: PathBuf,
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// List the roles that may do something to a field.
    WhoCan {
        /// Field, root field or grant.
        object: String,
        /// The purpose.
        #[arg(long)]
        purpose: String,
        /// read, mask, create, update, execute or grant.
        #[arg(long, default_value = "read")]
        action: String,
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
}

pub(crate) async fn run(config: &Config, command: PolicyCommand) -> Result<(), CliError> {
    match command {
        PolicyCommand::Check => check(config).await,
        PolicyCommand::Test { coverage: true, denied, role, purpose, type_name, format, .. } => {
            let part = PermissionFilter { role, purpose, type_name };
            coverage(config, &part, denied, format).await
        }
        PolicyCommand::Test { junit, overwrite, format, .. } => {
            test(config, junit.as_deref(), overwrite, format).await
        }
        PolicyCommand::Explain { object, role, purpose, action, format } => {
            let question = AccessQuestion { object, purpose, action };
            explain(config, &role, &question, format).await
        }
        PolicyCommand::Matrix(args) => matrix::matrix(config, args).await,
        PolicyCommand::Diff { old, new, format } => diff(old, new, format).await,
        PolicyCommand::WhoCan { object, purpose, action, format } => {
            who_can(config, &AccessQuestion { object, purpose, action }, format).await
        }
    }
}

/// Loads the policy strictly and prints its warnings.
pub(crate) async fn check(config: &Config) -> Result<(), CliError> {
    let policy = policy(config).await?;
    for warning in policy.warnings() {
        note(&format!("warning: {warning}"));
    }
    print(&format!("policy {} is valid\n", policy.revision()))
}

/// Runs the decisions that `cases.yaml` names, and writes the outcome as JUnit XML if requested.
pub(crate) async fn test(
    config: &Config,
    junit_file: Option<&Path>,
    overwrite: Overwrite,
    format: ListFormat,
) -> Result<(), CliError> {
    let to_output = junit_file.is_some_and(is_output);
    if to_output && format == ListFormat::Json {
        let text = "--junit - and --format json both ask for standard output; name a file for one of them";
        return Err(CliError::Usage(text.to_owned()));
    }
    let file = named(junit_file);
    file.map(|path| overwrite.check_writable(path)).transpose()?;
    let policy = untested_policy(config).await?;
    let cases = cases::read(&sources(config).await?).map_err(policy_failure)?;
    let failures = cases::run(&policy, &cases);
    if let Some(path) = file {
        overwrite.open(path)?.write_all(junit(&cases, &failures)?.as_bytes())?;
    }
    let total: usize = cases.iter().map(|case| case.objects.len()).sum();
    let holds = format!("{total} decisions hold");
    let told = match format {
        ListFormat::Json => {
            let failed = |failed: &CaseFailure| json!({ "case": failed.name, "message": failed.message });
            let failed: Vec<Value> = failures.iter().map(failed).collect();
            print_json(&json!({ "decisions": total, "failures": failed }))
        }
        ListFormat::Text => {
            for failed in &failures {
                note(&format!("{}: {}", failed.name, failed.message));
            }
            match (to_output, failures.is_empty()) {
                (true, holding) => {
                    if holding {
                        note(&holds);
                    }
                    print(&junit(&cases, &failures)?)
                }
                (false, true) => print(&(holds + "\n")),
                (false, false) => Ok(()),
            }
        }
    };
    // The exit code is right even if the reader of the output has gone.
    match (told, failures.len()) {
        (told, 0) => told,
        (Ok(()) | Err(CliError::Unread), failed) => {
            Err(CliError::PolicyTest(format!("{failed} of {total} decisions do not hold")))
        }
        (told, _) => told,
    }
}

/// Lists rights, or denied fields, that no case covers.
pub(crate) async fn coverage(
    config: &Config,
    filter: &PermissionFilter,
    denied: bool,
    format: ListFormat,
) -> Result<(), CliError> {
    let policy = untested_policy(config).await?;
    let cases = cases::read(&sources(config).await?).map_err(policy_failure)?;
    let spoken = |cell: &&Permission| cases.iter().any(|case| case.covers(&policy, cell));
    let (rights, denials) = (policy.permissions(filter), policy.denials(filter));
    let told = [
        (rights.iter().filter(spoken).count(), rights.len()),
        (denials.iter().filter(spoken).count(), denials.len()),
    ];
    let uncovered = if denied { &denials } else { &rights }.iter().filter(|cell| !spoken(cell));
    if format == ListFormat::Json {
        let [rights, denials] = told.map(|(covered, all)| json!({ "all": all, "inCases": covered }));
        let uncovered: Vec<Value> = uncovered.map(described).collect();
        return print_json(
            &json!({ "rights": rights, "denials": denials, "denied": denied, "uncovered": uncovered }),
        );
    }
    let mut out = String::new();
    for Permission { purpose, role, object, right } in uncovered {
        let not = if denied { "not " } else { "" };
        let _ = writeln!(out, "{role} {not}{right} {object} for {purpose}");
    }
    let [(rights, all_rights), (denials, all_denials)] = told;
    let _ = writeln!(
        out,
        "{rights} of {all_rights} rights are in a case; {} are not\n{denials} of {all_denials} denials of reading are in a case; {} are not",
        all_rights - rights,
        all_denials - denials
    );
    print(&out)
}

/// A right as JSON.
fn described(of: &Permission) -> Value {
    json!({ "role": of.role, "purpose": of.purpose, "right": of.right, "object": of.object })
}

fn print_json(value: &Value) -> Result<(), CliError> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// The outcome of the cases as JUnit XML, one test case each.
fn junit(cases: &[cases::Case], failures: &[CaseFailure]) -> Result<String, CliError> {
    let mut suite = TestSuite::new("policy");
    for case in cases {
        let messages: Vec<&str> = failures
            .iter()
            .filter(|failure| failure.name == case.name)
            .map(|failure| failure.message.as_str())
            .collect();
        let status = if messages.is_empty() {
            TestCaseStatus::success()
        } else {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(messages.join("; "));
            failed
        };
        let mut test_case = TestCase::new(case.name.as_str(), status);
        test_case.set_classname("cases.yaml");
        suite.add_test_case(test_case);
    }
    let mut report = Report::new("zweck policy test");
    report.add_test_suite(suite);
    Ok(report.to_string().context("the JUnit report cannot be written")?)
}

fn action(word: &str) -> Result<Action, CliError> {
    Action::parse(word).ok_or_else(|| CliError::Usage(format!("there is no action `{word}`")))
}

fn known(policy: &Policy, object: &str, purpose: &str) -> Result<(), CliError> {
    if policy.object(object).is_none() {
        return Err(CliError::Usage(format!("there is no field, root field or grant `{object}`")));
    }
    match policy.purpose(purpose) {
        None => Err(CliError::Usage(format!("there is no purpose `{purpose}`"))),
        Some(found) if found.is_group => {
            Err(CliError::Usage(format!("`{purpose}` is a group; name one of its purposes")))
        }
        Some(_) => Ok(()),
    }
}

/// A cell of the policy, without its role.
pub(crate) struct AccessQuestion {
    pub(crate) object: String,
    pub(crate) purpose: String,
    pub(crate) action: String,
}

/// Prints a decision with the rules that led to it.
pub(crate) async fn explain(
    config: &Config,
    role: &str,
    question: &AccessQuestion,
    format: ListFormat,
) -> Result<(), CliError> {
    let AccessQuestion { object, purpose, action: word } = question;
    let policy = untested_policy(config).await?;
    known(&policy, object, purpose)?;
    let action = action(word)?;
    let table = policy
        .table(&[role.to_owned()], purpose, None)
        .map_err(|unknown| CliError::Usage(unknown.to_string()))?;
    let decision = policy.object(object).map_or(Decision::Deny, |id| match action {
        Action::Read | Action::Mask => table.decide(id),
        _ if table.allows(id, action) => Decision::Allow,
        _ => Decision::Deny,
    });
    let rules = policy.explain(role, purpose, object, action);
    if format == ListFormat::Json {
        let rules: Vec<Value> =
            rules.iter().map(|rule| json!({ "line": rule.line, "text": rule.text })).collect();
        return print_json(&json!({ "decision": decision.as_str(), "rules": rules }));
    }
    let mut text = format!("{}: {word} {object} as {role} for {purpose}\n", decision.as_str());
    for rule in &rules {
        let _ = writeln!(text, "  policy.csv:{}: {}", rule.line, rule.text);
    }
    if rules.is_empty() {
        text.push_str("  no rule speaks about it, and the default is deny\n");
    }
    print(&text)
}

/// Lists the roles that may do something to a field.
pub(crate) async fn who_can(
    config: &Config,
    question: &AccessQuestion,
    format: ListFormat,
) -> Result<(), CliError> {
    let AccessQuestion { object, purpose, action: word } = question;
    let policy = untested_policy(config).await?;
    known(&policy, object, purpose)?;
    let roles = policy.who_can(object, purpose, action(word)?);
    if format == ListFormat::Json {
        return print_json(&json!({ "object": object, "purpose": purpose, "action": word, "roles": roles }));
    }
    if roles.is_empty() {
        note(&format!("nobody may {word} {object} for {purpose}"));
    }
    print(&roles.iter().map(|role| format!("{role}\n")).collect::<String>())
}

/// Prints the rights gained and lost from `old` to `new`.
pub(crate) async fn diff(old: PathBuf, new: PathBuf, format: ListFormat) -> Result<(), CliError> {
    let load = async |directory: PathBuf| {
        let sources = policy_watch::settling::read(&directory).await.map_err(policy_failure)?;
        Policy::load(&sources, &registry::policy_objects()).await.map_err(policy_failure)
    };
    let (old, new) = (load(old).await?, load(new).await?);
    let (before, after) =
        (old.permissions(&PermissionFilter::default()), new.permissions(&PermissionFilter::default()));
    let mut changes: Vec<(&Permission, char)> =
        after.difference(&before).map(|gained| (gained, '+')).collect();
    changes.extend(before.difference(&after).map(|lost| (lost, '-')));
    changes.sort();
    if format == ListFormat::Json {
        let side = |wanted: char| -> Vec<Value> {
            changes.iter().filter(|(_, sign)| *sign == wanted).map(|(of, _)| described(of)).collect()
        };
        return print_json(&json!({ "gained": side('+'), "lost": side('-') }));
    }
    let mut text = String::new();
    for (of, sign) in &changes {
        let _ = writeln!(text, "{sign} {} for {}: {} {}", of.role, of.purpose, of.right, of.object);
    }
    let gained = changes.iter().filter(|(_, sign)| *sign == '+').count();
    let _ = writeln!(text, "{gained} gained, {} lost", changes.len() - gained);
    print(&text)
}
