//! Rights as a list, and what is odd about them. Room: policy.

/// A right that a role has for a purpose.
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

/// What is allowed but odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of `policy.csv`, or 0 for the policy as a whole.
    pub line: usize,
    /// Stable code, e.g. `IDLE_RULE`.
    pub code: &'static str,
    /// What is odd, for people.
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

/// Which part of a policy is looked at; what is `None` is not narrowed.
#[derive(Clone, Debug, Default)]
pub struct PermissionFilter {
    /// Only this role.
    pub role: Option<String>,
    /// Only this purpose.
    pub purpose: Option<String>,
    /// Only objects of this type, e.g. `Contact`, `Mutation`.
    pub type_name: Option<String>,
}
