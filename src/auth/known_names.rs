//! The purposes and roles that a caller may know, and the errors for unknown ones. Room: auth.

use crate::auth::actor::Actor;
use crate::{
    base::{error::Error, names::unknown},
    policy::Action,
};

impl Actor {
    /// The purposes that the caller may know, with or without groups: all of them if the caller may list purposes or
    /// explain access, otherwise its own.
    fn known_purposes(&self, groups: bool) -> Vec<&str> {
        let lists = self.can("Query.purposes", Action::Execute) && self.can("Purpose.code", Action::Read);
        if lists || self.can("Query.explainAccess", Action::Execute) {
            let all = self.policy.purposes().iter().filter(|purpose| groups || !purpose.is_group);
            return all.map(|purpose| purpose.code.as_str()).collect();
        }
        self.permitted_purposes.iter().map(|purpose| purpose.code.as_str()).collect()
    }

    /// The roles that the caller may know: all of them if the caller may explain access, otherwise its own and those
    /// that it may grant.
    fn known_roles(&self) -> Vec<&str> {
        let all = self.can("Query.explainAccess", Action::Execute);
        let knows = |role: &&String| {
            all || self.roles.contains(role) || self.can(&format!("token:role:{role}"), Action::Grant)
        };
        self.policy.roles().iter().filter(knows).map(String::as_str).collect()
    }

    /// `BAD_USER_INPUT` for an unknown purpose; the message lists the purposes that the caller may know, including
    /// groups if the argument accepts them.
    pub fn unknown_purpose(&self, name: &str, groups: bool) -> Error {
        Error::bad_input(unknown("purpose", name, &self.known_purposes(groups)))
    }

    /// `BAD_USER_INPUT` for an unknown role; the message lists the roles that the caller may know.
    pub fn unknown_role(&self, name: &str) -> Error {
        Error::bad_input(unknown("role", name, &self.known_roles()))
    }
}
