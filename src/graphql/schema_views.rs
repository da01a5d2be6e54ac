//! What each caller is shown of the schema: by introspection and as SDL, kept for callers of the same kind. Room: graphql.
//!
//! A view is made of the members that the caller's decisions permit, under the purpose of the operation or, where none is
//! named yet, under one or another of those its credential permits. Documents are not validated by it: who asks for a field
//! that may not be read is told so.
//!
//! The schema is plain data first, each member with what using it needs, as the plan decides it. For a caller the
//! members it may not use are left out, then what cannot be without them, then what no root leads to; of the rest a
//! schema is made, which answers introspection and prints the SDL. So nothing of what is hidden exists there to be
//! told. Views are kept by policy revision, roles, purpose and narrowing, at most 64. A mutation whose payload would
//! show nothing is not listed. Without a purpose the views of all permitted purposes are put together: each member is
//! of use under one of them.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    Request as AgRequest, ServerError, ValidationMode, Value as Json, Variables, dynamic::Schema,
    parser::types::ExecutableDocument,
};

use crate::graphql::schema_model::{Model, Names, Requirement, VisibleNames, is_built_in};
use crate::{
    auth::actor::Actor,
    base::{cache::Cache, error::Error},
    policy::{Action, Decision, Grounds, Policy, PurposeDef, Table},
};

/// Most views that are kept; what was not used while half of them came anew goes.
const MAX_VIEWS: usize = 64;

/// What of the schema one kind of caller is shown.
pub(super) struct SchemaView {
    schema: Schema,
    sdl: OnceLock<String>,
    names: Names,
}

/// What a view depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ViewKey {
    revision: String,
    roles: Vec<String>,
    purpose: Option<String>,
    permitted: Vec<String>,
    fields: Option<Vec<String>>,
}

/// The views of late.
pub(super) struct SchemaViewCache {
    model: Model,
    cache: Cache<ViewKey, Arc<SchemaView>>,
}

impl SchemaViewCache {
    pub(super) fn new(model: Model) -> Self {
        Self { model, cache: Cache::new(MAX_VIEWS) }
    }

    /// What `actor` is shown.
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
        self.cache.keep(key, view.clone(), 1);
        Ok(view)
    }

    /// Names of what `actor` is shown.
    fn visible(&self, actor: &Actor) -> Result<VisibleNames, Error> {
        let under = |purpose: Option<&PurposeDef>, table: &Table| {
            self.model.visible(&|requirement| is_met(requirement, &actor.policy, purpose, table))
        };
        let mut visible = under(actor.purpose.as_deref(), &actor.table);
        if actor.purpose.is_none() {
            // What is of use under one purpose is shown; what would take two is not.
            for purpose in &actor.permitted {
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
            None => actor.permitted.iter().map(|purpose| purpose.code.clone()).collect(),
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

/// Whether a caller with the decisions of `table` meets `need` for `purpose`.
fn is_met(requirement: &Requirement, policy: &Policy, purpose: Option<&PurposeDef>, table: &Table) -> bool {
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
    /// Names of the members of a type, or as `Type.field` of the arguments of a field, but old ones; none where it is not shown.
    pub(super) fn names(&self, name: &str) -> &[String] {
        self.names.members.get(name).map_or(&[], Vec::as_slice)
    }

    /// The values of an enum that is shown.
    pub(super) fn values(&self, name: &str) -> Option<&[String]> {
        self.names.enums.contains(name).then(|| self.names(name))
    }

    /// Whether a type is shown.
    pub(super) fn shows(&self, ty: &str) -> bool {
        is_built_in(ty) || self.names.members.contains_key(ty)
    }

    /// The view in the schema definition language.
    pub(super) fn sdl(&self) -> &str {
        self.sdl.get_or_init(|| self.schema.sdl())
    }

    /// Answers a document of introspection alone.
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
                // Kinds that differ though what they may do does not.
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
