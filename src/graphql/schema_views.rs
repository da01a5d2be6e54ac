//! The caller's view of the schema, for introspection and as SDL, cached for callers with the same rights.
//! Room: graphql.
//!
//! A view consists of the members that the caller's decisions permit, under the purpose of the operation or, if none is
//! named yet, under any purpose of its credential. Documents are not validated against it: a query for a forbidden
//! field is denied, not unknown.
//!
//! The schema is plain data first, each member with its requirements. For a caller, forbidden members are removed, then
//! members that depend on them, then members that no root leads to. The rest becomes a schema, which answers
//! introspection and prints the SDL, so it cannot reveal anything hidden. Views are cached by policy revision, roles,
//! purpose and field restriction, at most
//! 64. A mutation whose payload would be empty is not listed. Without a purpose, the view is the union of the views of all
//! permitted purposes: each member can be used under one of them.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    Request as AgRequest, ServerError, ValidationMode, Value as Json, Variables, dynamic::Schema,
    parser::types::ExecutableDocument,
};

use crate::graphql::schema_model::{Model, Names, Requirement, VisibleNames, is_built_in};
use crate::{
    auth::actor::Actor,
    base::{cache::Cache, error::Error},
    policy::{Action, Decision, DecisionTable, Grounds, Policy, PurposeDef},
};

/// Maximum number of cached views.
const MAX_VIEWS: usize = 64;

/// The part of the schema that callers with the same rights see.
pub(super) struct SchemaView {
    schema: Schema,
    sdl: OnceLock<String>,
    names: Names,
}

/// Everything that a view depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ViewKey {
    revision: String,
    roles: Vec<String>,
    purpose: Option<String>,
    permitted: Vec<String>,
    fields: Option<Vec<String>>,
}

/// Recently used views.
pub(super) struct SchemaViewCache {
    model: Model,
    cache: Cache<ViewKey, Arc<SchemaView>>,
}

impl SchemaViewCache {
    pub(super) fn new(model: Model) -> Self {
        Self { model, cache: Cache::new(MAX_VIEWS) }
    }

    /// The view of `actor`.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub(super) fn view_for(&self, actor: &Actor) -> Result<Arc<SchemaView>, Error> {
        let key = ViewKey::for_actor(actor);
        if let Some(view) = self.cache.get(&key) {
            return Ok(view);
        }
        let model = self.model.restricted_to(&self.visible(actor)?);
        let schema = model.schema(ValidationMode::Fast);
        let schema = schema.map_err(|_| Error::internal("a view of the schema cannot be built"))?;
        let view = Arc::new(SchemaView { schema, sdl: OnceLock::new(), names: model.names() });
        self.cache.insert(key, view.clone(), 1);
        Ok(view)
    }

    /// The names that `actor` can see.
    fn visible(&self, actor: &Actor) -> Result<VisibleNames, Error> {
        let under = |purpose: Option<&PurposeDef>, table: &DecisionTable| {
            self.model.visible(&|requirement| is_met(requirement, &actor.policy, purpose, table))
        };
        let mut visible = under(actor.purpose.as_deref(), &actor.decisions);
        if actor.purpose.is_none() {
            // A member that can be used under one purpose is visible; one that would need two is not.
            for purpose in &actor.permitted_purposes {
                let table = actor.policy.table(&actor.roles, &purpose.code, actor.fields.as_deref())?;
                visible.extend(under(Some(purpose.as_ref()), &table));
            }
        }
        Ok(visible)
    }
}

impl ViewKey {
    fn for_actor(actor: &Actor) -> Self {
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        let purpose = actor.purpose.as_ref().map(|purpose| purpose.code.clone());
        let permitted = match purpose {
            Some(_) => Vec::new(),
            None => actor.permitted_purposes.iter().map(|purpose| purpose.code.clone()).collect(),
        };
        Self {
            revision: actor.policy.revision().to_owned(),
            roles: sorted(actor.roles.clone()),
            purpose,
            permitted: sorted(permitted),
            fields: actor.fields.clone().map(sorted),
        }
    }
}

/// Whether a caller with the decisions of `table` meets `requirement` for `purpose`.
fn is_met(
    requirement: &Requirement,
    policy: &Policy,
    purpose: Option<&PurposeDef>,
    table: &DecisionTable,
) -> bool {
    let can = |action: Action, name: &str| policy.object(name).is_some_and(|id| table.allows(id, action));
    match requirement {
        Requirement::Can(action, name) => can(*action, name),
        Requirement::CanSee(name) => policy.object(name).is_some_and(|id| table.decide(id) != Decision::Deny),
        Requirement::CanReadAny(names) => names.iter().any(|name| can(Action::Read, name)),
        Requirement::SeesAll => purpose.is_some_and(|purpose| purpose.sees_all),
        Requirement::NothingWithheld => purpose.is_some_and(|purpose| purpose.grounds != Grounds::Consent),
    }
}

impl SchemaView {
    /// The names of the members of a type, or of the arguments of a field given as `Type.field`, without deprecated
    /// ones; empty if it is not visible.
    pub(super) fn names(&self, name: &str) -> &[String] {
        self.names.members.get(name).map_or(&[], Vec::as_slice)
    }

    /// The values of a visible enum.
    pub(super) fn values(&self, name: &str) -> Option<&[String]> {
        self.names.enums.contains(name).then(|| self.names(name))
    }

    /// Whether a type is visible.
    pub(super) fn shows(&self, ty: &str) -> bool {
        is_built_in(ty) || self.names.members.contains_key(ty)
    }

    /// The view in the schema definition language.
    pub(super) fn sdl(&self) -> &str {
        self.sdl.get_or_init(|| self.schema.sdl())
    }

    /// Executes a document that only holds introspection.
    pub(super) async fn introspect(
        &self,
        document: ExecutableDocument,
        variables: Variables,
    ) -> Result<Json, Vec<ServerError>> {
        let mut request = AgRequest::new("").variables(variables).only_introspection();
        request.set_parsed_query(document);
        let response = self.schema.execute(request).await;
        if response.errors.is_empty() { Ok(response.data) } else { Err(response.errors) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::schema::model, *};
    use crate::{
        auth::credential::Credential,
        policy::{Policy, Sources},
        registry,
    };

    #[tokio::test]
    async fn views_are_kept_up_to_a_number_and_what_is_used_stays() {
        let policy = Policy::load(&Sources::embedded(), &registry::policy_objects()).await.unwrap();
        let policy = Arc::new(policy);
        let actor = |number: usize| {
            let credential = Credential {
                actor_id: "token:1".to_owned(),
                roles: vec!["marketing".to_owned()],
                purposes: vec!["newsletter".to_owned()],
                // Keys differ although the rights are the same.
                fields: Some(vec!["Contact.email".to_owned(), format!("Contact.other{number}")]),
                expires_at: chrono::DateTime::default(),
                recipient: None,
            };
            Actor::new(policy.clone(), &credential, None, "test".to_owned()).unwrap()
        };
        let views = SchemaViewCache::new(model());
        let first = views.view_for(&actor(0)).unwrap();
        for number in 1..=2 * MAX_VIEWS {
            views.view_for(&actor(number)).unwrap();
            // The first is in use all the time.
            assert!(Arc::ptr_eq(&first, &views.view_for(&actor(0)).unwrap()));
        }
        assert!(views.cache.weight() <= MAX_VIEWS);
        assert!(views.cache.get(&ViewKey::for_actor(&actor(1))).is_none());
        assert!(views.cache.get(&ViewKey::for_actor(&actor(2 * MAX_VIEWS))).is_some());
    }
}
