//! Permissions as a list, and warnings. Room: policy.

/// A permission of a role for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Code of the purpose.
    pub purpose: String,
    /// The role, without prefix.
    pub role: String,
    /// E.g. `Contact.email`, `Mutation.updateContact`, `token:role:partner`.
    pub object: String,
    /// `read`, `mask`, `create`, `update`, `execute` or `grant`.
    pub right: &'static str,
}

/// Something valid but questionable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of `policy.csv`, or 0 for the whole policy.
    pub line: usize,
    /// Stable code, e.g. `IDLE_RULE`.
    pub code: &'static str,
    /// The message for people.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{} [{}]", self.message, self.code),
            line => write!(f, "policy.csv:{line}: {} [{}]", self.message, self.code),
        }
    }
}

/// Selects a part of a policy; `None` matches everything.
#[derive(Clone, Debug, Default)]
pub struct PermissionFilter {
    /// Only this role.
    pub role: Option<String>,
    /// Only this purpose.
    pub purpose: Option<String>,
    /// Only objects of this type, e.g. `Contact`, `Mutation`.
    pub type_name: Option<String>,
}
