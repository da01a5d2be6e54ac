//! Named decisions that must hold, each with its legal reason: `cases.yaml`. Room: policy.

use serde::Deserialize;

use super::{
    Action, Decision, Policy, PolicyErrors, PolicyObject, Sources,
    error::PolicyError,
    rights::{Permission, Warning},
};

/// A decision that must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, for people.
    pub name: String,
    /// Roles of the credential, all at once.
    pub roles: Vec<String>,
    /// The purpose.
    pub purpose: String,
    /// The objects, e.g. `Contact.email`; several objects may share a reason.
    pub objects: Vec<String>,
    /// `read`, `create`, `update`, `execute` or `grant`.
    pub action: String,
    /// `ALLOW`, `MASK` or `DENY`.
    pub expect: String,
    /// The legal reason.
    pub because: String,
}

impl Case {
    /// Whether the case covers a permission: the same role alone, purpose and object. A case about reading also
    /// covers masked reading.
    pub fn covers(&self, policy: &Policy, right: &Permission) -> bool {
        let action = if right.right == "mask" { "read" } else { right.right };
        self.roles.len() == 1
            && self.roles.contains(&right.role)
            && self.purpose == right.purpose
            && self.action == action
            && self.objects.iter().any(|object| policy.current_name(object) == right.object)
    }
}

/// A case that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFailure {
    /// Name of the case.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

impl Policy {
    /// Loads a policy like [`Policy::load`] and runs its cases: they are part of the policy.
    ///
    /// # Errors
    /// Those of [`Policy::load`]; `CASE` for each case that fails.
    pub async fn load_proved(sources: &Sources, objects: &[PolicyObject]) -> Result<Self, PolicyErrors> {
        let mut policy = Self::load(sources, objects).await?;
        let cases = read(sources)?;
        let failures = run(&policy, &cases);
        if failures.is_empty() {
            let old = old_names(&policy, &cases, &sources.cases);
            policy.warnings.extend(old);
            return Ok(policy);
        }
        let file = sources.file("cases.yaml");
        let to_error = |failure: CaseFailure| PolicyError {
            file: file.clone(),
            line: line(&sources.cases, &failure.name),
            code: "CASE",
            message: format!("`{}` does not hold: {}", failure.name, failure.message),
        };
        Err(PolicyErrors(failures.into_iter().map(to_error).collect()))
    }
}

/// Reads the cases of `sources`.
///
/// # Errors
/// Invalid YAML, an unknown key, an empty list of cases.
pub fn read(sources: &Sources) -> Result<Vec<Case>, PolicyErrors> {
    let error_at = |line: usize, code, message: String| {
        PolicyErrors::from(PolicyError { file: sources.file("cases.yaml"), line, code, message })
    };
    let cases: Vec<Case> = serde_saphyr::from_str(&sources.cases).map_err(|error| {
        let line = error.location().and_then(|location| usize::try_from(location.line()).ok()).unwrap_or(0);
        error_at(line, "YAML", error.to_string())
    })?;
    if let Some(case) = cases.iter().find(|case| case.objects.is_empty()) {
        return Err(error_at(
            0,
            "NO_OBJECTS",
            format!("the case `{}` names no object; nothing would be tested", case.name),
        ));
    }
    if cases.is_empty() {
        return Err(error_at(0, "NO_CASES", "there is no case; nothing would be tested".to_owned()));
    }
    Ok(cases)
}

/// The line that holds the name of a case, or 0 if the name spans several lines.
fn line(text: &str, name: &str) -> usize {
    let says = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        line.strip_prefix("name:").is_some_and(|rest| rest.trim().trim_matches(['"', '\'']) == name)
    };
    text.lines().position(says).map_or(0, |index| index + 1)
}

/// The deprecated names that `cases` use, with the line of each case.
fn old_names(policy: &Policy, cases: &[Case], text: &str) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for case in cases {
        for old in &case.objects {
            let name = policy.current_name(old);
            if name != old {
                let line_number = line(text, &case.name);
                warnings.push(Warning {
                    line: 0,
                    code: "OLD_NAME",
                    message: format!(
                        "`cases.yaml`, line {line_number}: `{old}` is now called `{name}`; the old name works until the next version"
                    ),
                });
            }
        }
    }
    warnings
}

/// The cases that fail under `policy`.
pub fn run(policy: &Policy, cases: &[Case]) -> Vec<CaseFailure> {
    let mut failures = Vec::new();
    for case in cases {
        for object in &case.objects {
            match decide(policy, case, object) {
                Ok(decision) if decision == case.expect => {}
                Ok(decision) => failures.push(CaseFailure {
                    name: case.name.clone(),
                    message: format!("{} {object}: {decision}, but {} is expected", case.action, case.expect),
                }),
                Err(message) => failures.push(CaseFailure { name: case.name.clone(), message }),
            }
        }
    }
    failures
}

fn decide(policy: &Policy, case: &Case, object: &str) -> Result<&'static str, String> {
    let table = policy.table(&case.roles, &case.purpose, None).map_err(|error| error.to_string())?;
    let id = policy.object(object).ok_or_else(|| format!("there is no object `{object}`"))?;
    let action =
        Action::parse(&case.action).ok_or_else(|| format!("there is no action `{}`", case.action))?;
    Ok(match action {
        Action::Read | Action::Mask => table.decide(id).as_str(),
        _ if table.allows(id, action) => Decision::Allow.as_str(),
        _ => Decision::Deny.as_str(),
    })
}
