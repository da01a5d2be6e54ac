//! The whole matrix of the policy: who may do what for which purpose, as a table, CSV or a page. Room: cli.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use askama::Template;
use clap::Args;
use zweck::{
    config::Config,
    policy::{Permission, PermissionFilter, Policy},
};

use super::{exit::CliError, note, print, untested_policy};

/// The part of the policy, and the format.
#[derive(Args)]
pub(crate) struct MatrixArgs {
    /// Only this role.
    #[arg(long)]
    role: Option<String>,
    /// Only this purpose.
    #[arg(long)]
    purpose: Option<String>,
    /// Only this type, e.g. Contact or Mutation.
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = MatrixFormat::Table)]
    format: MatrixFormat,
    /// Compare with FILE, a reviewed output of `--format csv`, instead of printing; exit with 4 if a right was gained
    /// or lost.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    check: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MatrixFormat {
    /// One table per purpose.
    Table,
    /// One line per right.
    Csv,
    /// An HTML page with one table per purpose.
    Html,
}

/// The rights with their letters and meanings, in their order within a cell.
const RIGHTS: [(&str, char, &str); 6] = [
    ("read", 'R', "read"),
    ("mask", 'M', "read masked"),
    ("create", 'c', "create"),
    ("update", 'u', "update"),
    ("execute", 'x', "execute"),
    ("grant", 'g', "grant"),
];

/// Prints who may do what for which purpose.
pub(crate) async fn matrix(config: &Config, args: MatrixArgs) -> Result<(), CliError> {
    let policy = untested_policy(config).await?;
    if let Some(role) = args.role.as_ref().filter(|role| !policy.roles().contains(role)) {
        return Err(CliError::Usage(format!("there is no role `{role}`")));
    }
    if let Some(code) = args.purpose.as_ref().filter(|code| policy.purpose(code).is_none()) {
        return Err(CliError::Usage(format!("there is no purpose `{code}`")));
    }
    let part = PermissionFilter { role: args.role, purpose: args.purpose, type_name: args.type_name };
    let permissions = policy.permissions(&part);
    if let Some(file) = &args.check {
        return check_review(&policy, &csv(&permissions)?, file);
    }
    print(&match args.format {
        MatrixFormat::Csv => csv(&permissions)?,
        MatrixFormat::Table => {
            let legend: Vec<String> =
                RIGHTS.iter().map(|(_, letter, means)| format!("{letter} {means}")).collect();
            let tables: String = tables(&policy, &permissions).iter().map(text_table).collect();
            format!("{}; - nothing\n\n{tables}", legend.join(", "))
        }
        MatrixFormat::Html => {
            let page =
                Page { revision: policy.revision(), rights: RIGHTS, tables: tables(&policy, &permissions) };
            page.render().context("the matrix cannot be written")?
        }
    })
}

/// Prints the differences to the reviewed file.
fn check_review(policy: &Policy, now: &str, file: &Path) -> Result<(), CliError> {
    let before = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // What was reviewed under an old name is the same right.
    let named = |line: &str| {
        let cells: Vec<&str> = line
            .split(',')
            .enumerate()
            .map(|(index, cell)| if index == 2 { policy.current_name(cell) } else { cell })
            .collect();
        cells.join(",")
    };
    let lines = |text: &str| text.lines().skip(1).map(named).collect::<BTreeSet<String>>();
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
            Err(CliError::PolicyTest(text))
        }
    }
}

fn csv(permissions: &BTreeSet<Permission>) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(["purpose", "role", "object", "right"]).and_then(|()| {
        permissions
            .iter()
            .try_for_each(|of| writer.write_record([&of.purpose, &of.role, &of.object, of.right]))
    });
    written.context("the matrix cannot be written")?;
    let bytes = writer.into_inner().map_err(|_| anyhow::anyhow!("the matrix cannot be written"))?;
    Ok(String::from_utf8(bytes).context("the matrix cannot be written")?)
}

/// The rights of all roles for one purpose.
struct Table<'p> {
    code: &'p str,
    title: &'p str,
    basis: &'static str,
    /// Code and title of each role that may do anything.
    roles: Vec<(&'p str, &'p str)>,
    rows: Vec<Row<'p>>,
}

/// The rights of the roles to one object, in the order of the roles.
struct Row<'p> {
    object: &'p str,
    /// Whether it is the first of its type.
    first: bool,
    cells: Vec<String>,
}

impl Row<'_> {
    /// The type that the object belongs to.
    fn type_name(&self) -> &str {
        self.object.split_once('.').map_or(self.object, |(type_name, _)| type_name)
    }
}

/// The matrix as a self-contained page.
#[derive(Template)]
#[template(path = "matrix.html")]
struct Page<'p> {
    revision: &'p str,
    rights: [(&'static str, char, &'static str); 6],
    tables: Vec<Table<'p>>,
}

impl Page<'_> {
    /// The style of a letter.
    fn class(letter: &char) -> &'static str {
        RIGHTS.iter().find(|(_, candidate, _)| candidate == letter).map_or("", |(right, _, _)| right)
    }
}

/// A table for each purpose with any right.
fn tables<'p>(policy: &'p Policy, permissions: &'p BTreeSet<Permission>) -> Vec<Table<'p>> {
    let mut all = Vec::new();
    for purpose in policy.purposes() {
        let mut cells: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for of in permissions.iter().filter(|of| of.purpose == purpose.code) {
            let position = RIGHTS.iter().position(|(right, _, _)| *right == of.right);
            cells.entry((&of.object, &of.role)).or_default().extend(position);
        }
        let has_cell = |role: &&String| cells.keys().any(|(_, cell_role)| cell_role == role);
        let roles: Vec<(&str, &str)> = policy
            .roles()
            .iter()
            .filter(has_cell)
            .map(|role| (role.as_str(), policy.role(role).map_or("", |role| role.title_en.as_str())))
            .collect();
        let objects: BTreeSet<&str> = cells.keys().map(|(object, _)| *object).collect();
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(objects.len());
        for object in objects {
            let letters = |(role, _): &(&str, &str)| {
                let mut positions = cells.get(&(object, *role)).cloned().unwrap_or_default();
                positions.sort_unstable();
                positions
                    .iter()
                    .filter_map(|position| RIGHTS.get(*position))
                    .map(|(_, letter, _)| *letter)
                    .collect()
            };
            let mut row = Row { object, first: true, cells: roles.iter().map(letters).collect() };
            row.first = rows.last().is_none_or(|last| last.type_name() != row.type_name());
            rows.push(row);
        }
        if !rows.is_empty() {
            let basis = purpose.basis.map_or("", |basis| basis.as_str());
            all.push(Table { code: &purpose.code, title: &purpose.title_en, basis, roles, rows });
        }
    }
    all
}

fn text_table(table: &Table<'_>) -> String {
    let first = table.rows.iter().map(|row| row.object.len()).max().unwrap_or(0).max(6);
    let mut out = format!("{} ({})\n{:first$}", table.code, table.basis, "");
    // Writing to a String cannot fail, here and below.
    for (role, _) in &table.roles {
        let _ = write!(out, "  {role}");
    }
    out.push('\n');
    for row in &table.rows {
        let _ = write!(out, "{:first$}", row.object);
        for ((role, _), cell) in table.roles.iter().zip(&row.cells) {
            let shown = if cell.is_empty() { "-" } else { cell };
            let _ = write!(out, "  {shown:width$}", width = role.len());
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out + "\n"
}
