//! What a token may use: making a view of the schema, and answering introspection and SDL from it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use zweck::{
    app::App,
    auth::{actor::Actor, credential::Credential, oidc::Issuers},
    base::clock::SystemClock,
    crypto::master_keys::MasterKeys,
    db::Db,
    graphql::{Pipeline, Request},
    policy::{Policy, PolicyHandle, Sources},
    registry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What GraphiQL asks first, but for the deepest nesting of types.
const QUERY: &str = "{ __schema { queryType { name } mutationType { name } types { kind name description
    fields(includeDeprecated: true) { name description args { ...V } type { ...T } isDeprecated deprecationReason }
    inputFields { ...V } interfaces { ...T } enumValues(includeDeprecated: true) { name description isDeprecated }
    possibleTypes { ...T } } directives { name description locations args { ...V } } } }
    fragment V on __InputValue { name description type { ...T } defaultValue }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

fn views(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let app = runtime.block_on(async {
        let policy = Policy::load(&Sources::embedded(), &registry::policy_objects()).await.unwrap();
        let db =
            Db::connect(&format!("sqlite://{}", directory.path().join("x.db").display()), 1).await.unwrap();
        App::new(
            db,
            PolicyHandle::new(policy),
            Arc::new(SystemClock),
            MasterKeys::new([7; 32]),
            Issuers::default(),
        )
    });
    let request = || Request { query: QUERY.to_owned(), ..Request::default() };
    for (name, role, purpose) in
        [("partner", "partner", "newsletter"), ("desk", "privacy_desk", "rights_fulfilment")]
    {
        let credential = Credential {
            actor_id: "token:bench".to_owned(),
            roles: vec![role.to_owned()],
            purposes: vec![purpose.to_owned()],
            fields: None,
            expires_at: DateTime::<Utc>::MAX_UTC,
            recipient: None,
        };
        let actor = Actor::new(app.policy.current(), &credential, None, "bench".to_owned()).unwrap();
        criterion.bench_function(&format!("view_made_{name}"), |bench| {
            // A fresh engine knows no view; making it is not measured.
            bench.iter_batched(
                || Pipeline::new().unwrap(),
                |engine| engine.sdl_for(&actor).unwrap(),
                criterion::BatchSize::SmallInput,
            );
        });
        let engine = Pipeline::new().unwrap();
        criterion.bench_function(&format!("sdl_{name}"), |bench| {
            bench.iter(|| engine.sdl_for(&actor).unwrap());
        });
        criterion.bench_function(&format!("introspection_{name}"), |bench| {
            bench.iter(|| runtime.block_on(engine.execute(&app, &actor, request())));
        });
    }
}

criterion_group!(benches, views);
criterion_main!(benches);
