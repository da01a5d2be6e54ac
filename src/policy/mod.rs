//! Who may do what to which field for which purpose: Casbin decides at load time, a table answers. Room: policy.
//!
//! `policy.csv` says who may do what for which purpose; links from a field to its data category and type come from
//! the registry. At load time Casbin decides every cell for every role and purpose (two bits: some rule allows, some
//! rule denies), each with a small enforcer that holds only the rules that can match it. Cells that differ only in
//! names are decided once (`compile.rs`), and rules are looked up by the names they mention (`rule_index.rs`). A
//! caller's table is the union of the allows minus the union of the denies, restricted to the token's fields. A
//! changed directory is loaded beside the policy in force: first the tables (purposes, texts), then the decisions,
//! replaced as a whole; running operations keep the policy they started with. `role:anyone` and `purpose:any` stand
//! for every role and purpose. A test compares every cell with `enforce`.

mod analysis;
pub mod cases;
mod compile;
mod declared;
mod error;
mod forms;
mod handle;
mod hierarchy;
mod load;
mod memory;
mod objects;
mod purposes;
mod rights;
mod rule_index;
mod sources;
mod table;
mod texts;
mod toml_reader;

use std::sync::Arc;

pub use declared::{Channel, ConsentText, FormDef, Grounds, LegalBasis, PurposeDef, RoleDef};
pub use error::{PolicyError, PolicyErrors, UnknownName};
pub use forms::DOUBLE_OPT_IN;
pub use handle::{PolicyHandle, Revisions};
pub use objects::{Action, ObjectId, PolicyObject};
pub use rights::{Permission, PermissionFilter, Warning};
pub use sources::Sources;
pub use table::{Decision, DecisionTable};
pub use toml_reader::MAX_CODE_CHARS;

use compile::Compiled;
use declared::Declared;
use error::Diagnostics;
use load::Rules;
use objects::Objects;
use table::{DecisionBits, TableKey};

use crate::base::cache::Cache;

/// A loaded policy.
pub struct Policy {
    revision: String,
    roles: Vec<String>,
    declared: Declared,
    objects: Objects,
    rules: Rules,
    planes: Compiled,
    texts: Vec<ConsentText>,
    warnings: Vec<Warning>,
    /// Recently used decision tables.
    tables: Cache<TableKey, Arc<DecisionTable>>,
}

/// Maximum bytes of cached decision tables.
const MAX_CACHED_TABLE_BYTES: usize = 1024 * 1024;

/// A rule that takes part in a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// Line number in `policy.csv`.
    pub line: usize,
    /// The text of the rule.
    pub text: String,
}

impl Policy {
    /// Loads a policy about `objects` strictly, and has Casbin decide every cell.
    ///
    /// # Errors
    /// All errors of all files, each with file and line.
    pub async fn load(sources: &Sources, objects: &[PolicyObject]) -> Result<Self, PolicyErrors> {
        let mut errors = Vec::new();
        if sources::significant(&sources.model) != sources::significant(sources::MODEL) {
            let mut diagnostics = Diagnostics::new(&sources.file("model.conf"));
            diagnostics.add(0, "FOREIGN_MODEL", "the model is part of the program and cannot be replaced");
            errors.extend(diagnostics.into_vec());
        }
        let mut diagnostics = Diagnostics::new(&sources.file("purposes.toml"));
        let declared = purposes::parse(&sources.purposes, &mut diagnostics);
        if diagnostics.is_empty() && (declared.roles.is_empty() || declared.purposes.is_empty()) {
            diagnostics.add(0, "NOTHING_DECLARED", "there must be at least one role and one purpose");
        }
        errors.extend(diagnostics.into_vec());
        let objects = Objects::new(
            objects,
            declared.roles.iter().map(|role| role.code.as_str()),
            declared.purposes.iter().filter(|purpose| !purpose.is_group).map(|purpose| purpose.code.as_str()),
            declared
                .purposes
                .iter()
                .filter(|purpose| purpose.grounds == Grounds::Recorded)
                .map(|purpose| purpose.code.as_str()),
        );
        let mut diagnostics = Diagnostics::new(&sources.file("policy.csv"));
        let rules = load::parse(&sources.policy, &declared, &objects, &mut diagnostics);
        errors.extend(diagnostics.into_vec());
        let (mut texts, diagnostics) =
            texts::parse(&sources.texts, &declared, sources.directory.trim_end_matches('/'));
        errors.extend(diagnostics);
        let mut diagnostics = Diagnostics::new(&sources.file("purposes.toml"));
        forms::apply(&declared, &mut texts, &mut diagnostics);
        forms::check(&declared, &texts, &mut diagnostics);
        errors.extend(diagnostics.into_vec());
        if !errors.is_empty() {
            return Err(PolicyErrors(errors));
        }
        let planes = compile::compile(&rules, &declared, &objects).await.map_err(|error| PolicyError {
            file: sources.file("policy.csv"),
            line: 0,
            code: "CASBIN",
            message: format!("casbin rejects the policy: {error}"),
        })?;
        let roles = declared.roles.iter().map(|role| role.code.clone()).collect();
        let mut policy = Self {
            revision: sources.revision(),
            roles,
            declared,
            objects,
            rules,
            planes,
            texts,
            warnings: Vec::new(),
            tables: Cache::new(MAX_CACHED_TABLE_BYTES),
        };
        policy.warnings = policy.find_warnings();
        Ok(policy)
    }

    /// First 16 hexadecimal digits of the SHA-256 over all files.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Valid but questionable content: objects that no rule ever allows, rules without effect, roles without
    /// permissions, purposes on consent without a text.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The current name of an object, for policies that still use its deprecated name.
    pub fn current_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.objects.named(name).map_or(name, |found| found.name.as_str())
    }

    /// The purpose or group with this code.
    pub fn purpose(&self, code: &str) -> Option<&Arc<PurposeDef>> {
        self.declared.purposes.iter().find(|purpose| purpose.code == code)
    }

    /// Every purpose and group, in the order of the file.
    pub fn purposes(&self) -> &[Arc<PurposeDef>] {
        &self.declared.purposes
    }

    /// The consent texts to be published.
    pub fn texts(&self) -> &[ConsentText] {
        &self.texts
    }

    /// The text version for `purpose` in `language` that people now consent to: the last one in natural order.
    pub fn current_text(&self, purpose: &str, language: &str) -> Option<&ConsentText> {
        let texts = self.texts.iter().filter(|text| text.purpose == purpose && text.language == language);
        texts.max_by_key(|text| forms::natural_key(&text.version))
    }

    /// The sign-up forms, in the order of the file.
    pub fn forms(&self) -> &[FormDef] {
        &self.declared.forms
    }

    /// The sign-up form with this code.
    pub fn form(&self, code: &str) -> Option<&FormDef> {
        self.declared.forms.iter().find(|form| form.code == code)
    }

    /// The role of the data subjects, without prefix, if the policy has one.
    pub fn role_of_subjects(&self) -> Option<&str> {
        self.declared.roles.iter().find(|role| role.of_subject).map(|role| role.code.as_str())
    }

    /// Every role, without prefix, in the order of the file.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The declaration of the role with this code, without prefix.
    pub fn role(&self, code: &str) -> Option<&RoleDef> {
        self.declared.roles.iter().find(|role| role.code == code)
    }

    /// The id of the object called `name`.
    pub fn object(&self, name: &str) -> Option<ObjectId> {
        self.objects.id(name)
    }

    /// The decisions for a caller in `roles`: what some role allows and none denies, restricted to `only`.
    ///
    /// # Errors
    /// A role or purpose that the policy does not have, or a group.
    pub fn table(
        &self,
        roles: &[String],
        purpose: &str,
        only: Option<&[String]>,
    ) -> Result<DecisionTable, UnknownName> {
        match self.purpose(purpose) {
            None => return Err(UnknownName::Purpose(purpose.to_owned())),
            Some(found) if found.is_group => return Err(UnknownName::Group(purpose.to_owned())),
            Some(_) => {}
        }
        let mut planes = DecisionBits::empty(self.objects.len());
        for role in roles {
            if !self.roles.contains(role) {
                return Err(UnknownName::Role(role.clone()));
            }
            if let Some(more) = self.planes.get(&(role.clone(), purpose.to_owned())) {
                planes.join(more);
            }
        }
        Ok(DecisionTable::new(&self.objects, &planes, only))
    }

    /// Like [`Policy::table`], but cached and shared by all callers with the same roles, purpose and fields.
    ///
    /// # Errors
    /// Those of [`Policy::table`].
    pub fn cached_table(
        &self,
        roles: &[String],
        purpose: &str,
        only: Option<&[String]>,
    ) -> Result<Arc<DecisionTable>, UnknownName> {
        let caller = TableKey::new(roles, purpose, only);
        if let Some(table) = self.tables.get(&caller) {
            return Ok(table);
        }
        let table = Arc::new(self.table(roles, purpose, only)?);
        let weight = self.objects.len() + caller.bytes();
        self.tables.insert(caller, table.clone(), weight);
        Ok(table)
    }

    /// The decisions for a caller who has not yet chosen among `permitted`: what any of these purposes allows on the
    /// type `Purpose`, and nothing else.
    ///
    /// # Errors
    /// A role or purpose that the policy does not have.
    pub fn table_without_purpose(
        &self,
        roles: &[String],
        permitted: &[Arc<PurposeDef>],
        only: Option<&[String]>,
    ) -> Result<DecisionTable, UnknownName> {
        let mut table = DecisionTable::deny_all();
        for purpose in permitted {
            let more = self.table(roles, &purpose.code, only)?;
            table.join_where(&more, &self.objects, |name| name.starts_with("Purpose."));
        }
        Ok(table)
    }

    /// The rules about this cell, allowing or denying, in file order. For `read` this includes rules about `mask`.
    pub fn explain(&self, role: &str, purpose: &str, object: &str, action: Action) -> Vec<RuleRef> {
        let roles = self.rules.roles.closure(&format!("role:{role}"));
        let purposes = self.rules.purposes.closure(&format!("purpose:{purpose}"));
        let Some(object) = self.objects.named(object) else { return Vec::new() };
        let lines = self.rules.lines.iter().filter(|line| {
            roles.contains(&line.role)
                && purposes.contains(&line.purpose)
                && (line.object == object.name || object.groups.contains(&line.object))
                && (line.action == action || (action == Action::Read && line.action == Action::Mask))
        });
        lines
            .map(|line| RuleRef { line: line.number, text: format!("p, {}", line.values().join(", ")) })
            .collect()
    }

    /// The rules and links as Casbin expects them, each with its kind first: for the test that compares every cell
    /// with `enforce` over the whole policy.
    pub fn casbin_lines(&self) -> Vec<Vec<String>> {
        let rules = self.rules.lines.iter().map(|line| {
            let mut values = line.values();
            values.insert(0, "p".to_owned());
            values
        });
        let links = compile::links(&self.rules, &self.objects);
        rules.chain(links.into_iter().map(|(kind, from, to)| vec![kind.to_owned(), from, to])).collect()
    }

    /// Every cell that rules can mention, without derived ids: object name and action.
    pub fn cells(&self) -> impl Iterator<Item = (&str, Action)> {
        self.objects.iter().filter(|object| !object.derived).flat_map(|object| {
            let actions = Action::ALL.into_iter().filter(|action| object.kind.takes(*action));
            actions.map(move |action| (object.name.as_str(), action))
        })
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("revision", &self.revision).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::DecisionTable;

    #[test]
    fn an_empty_table_denies() {
        let table = DecisionTable::deny_all();
        assert_eq!(table.decide(super::ObjectId(0)), super::Decision::Deny);
    }
}
