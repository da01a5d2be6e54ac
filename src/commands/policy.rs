//! The policy workbench: check, test, explain, compare and print what is enforced (floor 7).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use zweck::{
    config::Config,
    policy::{Action, Decision, Holding, Part, Policy, Sources, cases},
    register,
};

use super::{note, policy, policy_failure, print, sources, unproved_policy};
use crate::{Failure, MatrixArgs, MatrixFormat};

/// Loads the policy strictly and tells what is allowed but odd.
pub(crate) async fn check(config: &Config) -> Result<(), Failure> {
    let policy = policy(config).await?;
    for warning in policy.warnings() {
        note(&format!("warning: {warning}"));
    }
    print(&format!("policy {} is valid\n", policy.revision()))
}

/// Runs the decisions that `cases.yaml` names, and writes the outcome as JUnit XML where that is asked for.
pub(crate) async fn test(config: &Config, junit_file: Option<&Path>) -> Result<(), Failure> {
    let policy = unproved_policy(config).await?;
    let cases = cases::read(&sources(config)?).map_err(policy_failure)?;
    let failures = cases::run(&policy, &cases);
    if let Some(file) = junit_file {
        let text = junit(&cases, &failures);
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for failed in &failures {
        note(&format!("{}: {}", failed.name, failed.message));
    }
    let total: usize = cases.iter().map(|case| case.objects.len()).sum();
    if failures.is_empty() {
        return print(&format!("{total} decisions hold\n"));
    }
    Err(Failure::PolicyTest(format!("{} of {total} decisions do not hold", failures.len())))
}

/// Lists the rights that no case speaks about.
pub(crate) async fn coverage(config: &Config) -> Result<(), Failure> {
    let policy = unproved_policy(config).await?;
    let cases = cases::read(&sources(config)?).map_err(policy_failure)?;
    let all = policy.holdings(&Part::default());
    let silent: Vec<&Holding> =
        all.iter().filter(|right| !cases.iter().any(|case| case.speaks_about(right))).collect();
    let mut out = String::new();
    for Holding { purpose, role, object, right } in &silent {
        let _ = writeln!(out, "{role} {right} {object} for {purpose}");
    }
    let spoken = all.len() - silent.len();
    let _ = writeln!(out, "{spoken} of {} rights are in a case; {} are not", all.len(), silent.len());
    print(&out)
}

fn junit(cases: &[cases::Case], failures: &[cases::CaseFailure]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail, here and below.
    let failed: BTreeSet<&str> = failures.iter().map(|failure| failure.name.as_str()).collect();
    let _ =
        writeln!(out, "<testsuite name=\"policy\" tests=\"{}\" failures=\"{}\">", cases.len(), failed.len());
    for case in cases {
        let name = escape(&case.name);
        let of_case: Vec<&str> = failures
            .iter()
            .filter(|failure| failure.name == case.name)
            .map(|failure| failure.message.as_str())
            .collect();
        let _ = match of_case.as_slice() {
            [] => writeln!(out, "  <testcase classname=\"cases.yaml\" name=\"{name}\"/>"),
            told => writeln!(
                out,
                "  <testcase classname=\"cases.yaml\" name=\"{name}\"><failure message=\"{}\"/></testcase>",
                escape(&told.join("; "))
            ),
        };
    }
    out + "</testsuite>\n"
}

/// Text for HTML and XML.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

fn action(word: &str) -> Result<Action, Failure> {
    Action::parse(word).ok_or_else(|| Failure::Usage(format!("there is no action `{word}`")))
}

fn known(policy: &Policy, object: &str, purpose: &str) -> Result<(), Failure> {
    if policy.object(object).is_none() {
        return Err(Failure::Usage(format!("there is no field, root field or grant `{object}`")));
    }
    match policy.purpose(purpose) {
        None => Err(Failure::Usage(format!("there is no purpose `{purpose}`"))),
        Some(found) if found.is_group => {
            Err(Failure::Usage(format!("`{purpose}` is a group; name one of its purposes")))
        }
        Some(_) => Ok(()),
    }
}

/// Tells a decision with the rules that made it.
pub(crate) async fn explain(
    config: &Config,
    role: &str,
    purpose: &str,
    object: &str,
    word: &str,
) -> Result<(), Failure> {
    let policy = unproved_policy(config).await?;
    known(&policy, object, purpose)?;
    let action = action(word)?;
    let table = policy
        .table(&[role.to_owned()], purpose, None)
        .map_err(|unknown| Failure::Usage(unknown.to_string()))?;
    let decision = policy.object(object).map_or(Decision::Deny, |id| match action {
        Action::Read | Action::Mask => table.decide(id),
        _ if table.allows(id, action) => Decision::Allow,
        _ => Decision::Deny,
    });
    let mut text = format!("{}: {word} {object} as {role} for {purpose}\n", decision.as_str());
    let rules = policy.explain(role, purpose, object, action);
    for rule in &rules {
        let _ = writeln!(text, "  policy.csv:{}: {}", rule.line, rule.text);
    }
    if rules.is_empty() {
        text.push_str("  no rule speaks about it, and the default is deny\n");
    }
    print(&text)
}

/// Lists the roles that may do something to a field.
pub(crate) async fn who_can(config: &Config, object: &str, purpose: &str, word: &str) -> Result<(), Failure> {
    let policy = unproved_policy(config).await?;
    known(&policy, object, purpose)?;
    let mut text = String::new();
    for role in policy.who_can(object, purpose, action(word)?) {
        let _ = writeln!(text, "{role}");
    }
    print(&text)
}

/// Tells every right that the policy in `new` gives and the one in `old` does not, and the other way round.
pub(crate) async fn diff(old: PathBuf, new: PathBuf) -> Result<(), Failure> {
    let load = async |directory: PathBuf| {
        let sources = Sources::read(&directory).map_err(policy_failure)?;
        Policy::load(&sources, &register::policy_objects()).await.map_err(policy_failure)
    };
    let (old, new) = (load(old).await?, load(new).await?);
    let (before, after) = (old.holdings(&Part::default()), new.holdings(&Part::default()));
    let mut changes: Vec<(&Holding, char)> = after.difference(&before).map(|gained| (gained, '+')).collect();
    changes.extend(before.difference(&after).map(|lost| (lost, '-')));
    changes.sort();
    let mut text = String::new();
    for (of, sign) in &changes {
        let _ = writeln!(text, "{sign} {} for {}: {} {}", of.role, of.purpose, of.right, of.object);
    }
    let gained = changes.iter().filter(|(_, sign)| *sign == '+').count();
    let _ = writeln!(text, "{gained} gained, {} lost", changes.len() - gained);
    print(&text)
}

/// Prints who may do what for which purpose.
pub(crate) async fn matrix(config: &Config, args: MatrixArgs) -> Result<(), Failure> {
    let policy = unproved_policy(config).await?;
    if let Some(role) = args.role.as_ref().filter(|role| !policy.roles().contains(role)) {
        return Err(Failure::Usage(format!("there is no role `{role}`")));
    }
    if let Some(code) = args.purpose.as_ref().filter(|code| policy.purpose(code).is_none()) {
        return Err(Failure::Usage(format!("there is no purpose `{code}`")));
    }
    let part = Part { role: args.role, purpose: args.purpose, type_name: args.type_name };
    let holdings = policy.holdings(&part);
    if let Some(file) = &args.check {
        return reviewed(&csv(&holdings)?, file);
    }
    print(&match args.format {
        MatrixFormat::Csv => csv(&holdings)?,
        MatrixFormat::Table => tables(&policy, &holdings, text_table),
        MatrixFormat::Html => {
            let tables = tables(&policy, &holdings, html_table);
            format!(
                "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Policy {0}</title>\n<style>{STYLE}</style>\n\
                 <h1>Policy {0}</h1>\n<p>R read, M masked, c create, u update, x execute, g grant.</p>\n{tables}</html>\n",
                policy.revision()
            )
        }
    })
}

/// Tells what is another than in the file that somebody has reviewed.
fn reviewed(now: &str, file: &Path) -> Result<(), Failure> {
    let before = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<BTreeSet<String>>();
    let (before, now) = (lines(&before), lines(now));
    for right in now.difference(&before) {
        note(&format!("gained: {right}"));
    }
    for right in before.difference(&now) {
        note(&format!("lost: {right}"));
    }
    let changed = now.symmetric_difference(&before).count();
    match changed {
        0 => print(&format!("{} rights, as in {}\n", now.len(), file.display())),
        _ => {
            let text = format!(
                "{changed} rights are not as in {0}; once they are reviewed: zweck policy matrix --format csv > {0}",
                file.display()
            );
            Err(Failure::PolicyTest(text))
        }
    }
}

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;margin-bottom:2rem}\
    th,td{border:1px solid #bbb;padding:.2rem .5rem;text-align:left}td{text-align:center}tbody th{font-weight:400}\
    td.r{background:#cfe8cf}td.m{background:#f6e7b4}";

fn csv(holdings: &BTreeSet<Holding>) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(["purpose", "role", "object", "right"]).and_then(|()| {
        holdings.iter().try_for_each(|of| writer.write_record([&of.purpose, &of.role, &of.object, of.right]))
    });
    written.context("the matrix cannot be written")?;
    let bytes = writer.into_inner().map_err(|_| anyhow::anyhow!("the matrix cannot be written"))?;
    Ok(String::from_utf8(bytes).context("the matrix cannot be written")?)
}

/// One table of a purpose: heading, columns, rows with their cells.
type Cells<'p> = (String, Vec<&'p str>, Vec<(&'p str, Vec<String>)>);

/// A table for each purpose for which anybody may do anything.
fn tables(policy: &Policy, holdings: &BTreeSet<Holding>, write: fn(&Cells<'_>) -> String) -> String {
    let mut out = String::new();
    for purpose in policy.purposes() {
        let mut cells: BTreeMap<(&str, &str), String> = BTreeMap::new();
        for of in holdings.iter().filter(|of| of.purpose == purpose.code) {
            let letter = match of.right {
                "read" => 'R',
                "mask" => 'M',
                "execute" => 'x',
                right => right.chars().next().unwrap_or('?'),
            };
            let cell = cells.entry((&of.object, &of.role)).or_default();
            // Whoever reads comes first.
            if letter.is_uppercase() { cell.insert(0, letter) } else { cell.push(letter) }
        }
        let roles: Vec<&str> = policy
            .roles()
            .iter()
            .map(String::as_str)
            .filter(|role| cells.keys().any(|(_, known)| known == role))
            .collect();
        let objects: BTreeSet<&str> = cells.keys().map(|(object, _)| *object).collect();
        let rows: Vec<(&str, Vec<String>)> = objects
            .into_iter()
            .map(|object| {
                let cell = |role: &&str| cells.get(&(object, *role)).cloned().unwrap_or_default();
                (object, roles.iter().map(cell).collect())
            })
            .collect();
        if !rows.is_empty() {
            let basis = purpose.basis.map_or("", |basis| basis.as_str());
            out.push_str(&write(&(format!("{} ({basis})", purpose.code), roles, rows)));
        }
    }
    out
}

fn text_table((heading, roles, rows): &Cells<'_>) -> String {
    let first = rows.iter().map(|(object, _)| object.len()).max().unwrap_or(0).max(6);
    let mut out = format!("{heading}\n{:first$}", "");
    for role in roles {
        let _ = write!(out, "  {role}");
    }
    out.push('\n');
    for (object, cells) in rows {
        let _ = write!(out, "{object:first$}");
        for (role, cell) in roles.iter().zip(cells) {
            let shown = if cell.is_empty() { "-" } else { cell };
            let _ = write!(out, "  {shown:width$}", width = role.len());
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out + "\n"
}

fn html_table((heading, roles, rows): &Cells<'_>) -> String {
    let mut out = format!("<table><caption><h2>{}</h2></caption><thead><tr><th></th>", escape(heading));
    for role in roles {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(role));
    }
    out.push_str("</tr></thead><tbody>\n");
    for (object, cells) in rows {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(object));
        for cell in cells {
            let class = match cell.chars().next() {
                Some('R') => " class=\"r\"",
                Some('M') => " class=\"m\"",
                _ => "",
            };
            let _ = write!(out, "<td{class}>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out + "</tbody></table>\n"
}
