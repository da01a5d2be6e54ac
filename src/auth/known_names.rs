//! Names of purposes and roles that a caller may be told, and what is said of one that is not there. Room: auth.

use crate::auth::actor::Actor;
use crate::{
    base::{error::Error, names::unknown},
    policy::Action,
};

impl Actor {
    /// The purposes that the caller may know, with their groups or not: all for who may list them or ask about any, else its own.
    fn known_purposes(&self, groups: bool) -> Vec<&str> {
        let lists = self.can("Query.purposes", Action::Execute) && self.can("Purpose.code", Action::Read);
        if lists || self.can("Query.explainAccess", Action::Execute) {
            let all = self.policy.purposes().iter().filter(|purpose| groups || !purpose.is_group);
            return all.map(|purpose| purpose.code.as_str()).collect();
        }
        self.permitted_purposes.iter().map(|purpose| purpose.code.as_str()).collect()
    }

    /// The roles that the caller may know: all for who may ask about any, else its own and those that it may grant.
    fn known_roles(&self) -> Vec<&str> {
        let all = self.can("Query.explainAccess", Action::Execute);
        let knows = |role: &&String| {
            all || self.roles.contains(role) || self.can(&format!("token:role:{role}"), Action::Grant)
        };
        self.policy.roles().iter().filter(knows).map(String::as_str).collect()
    }

    /// `BAD_USER_INPUT` for a purpose that is not there, with those that the caller may know, and groups where one can be named.
    pub fn unknown_purpose(&self, given: &str, groups: bool) -> Error {
        Error::bad_input(unknown("purpose", given, &self.known_purposes(groups)))
    }

    /// `BAD_USER_INPUT` for a role that is not there, with those that the caller may know.
    pub fn unknown_role(&self, given: &str) -> Error {
        Error::bad_input(unknown("role", given, &self.known_roles()))
    }
}
