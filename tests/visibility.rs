//! What a token may use: introspection and SDL show that and nothing else, for every role and purpose.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use zweck::{
    auth::{actor::Actor, credential::Credential},
    domain::{access_tokens::NewToken, purposes},
    graphql::{Pipeline, Request},
    policy::{Action, Decision, DecisionTable, Policy, Sources},
    registry::{
        self, FieldSource, InputType, MUTATIONS, OBJECTS, ObjectType, ROOTS, Right, RootKind, SUBSCRIPTIONS,
    },
};

use crate::support::{
    app::{TestApp, each},
    client::{Caller, Client, problems},
};

const QUERY: &str = "{ __schema { types { name kind fields(includeDeprecated: true) { name args(includeDeprecated: true) { name } } inputFields(includeDeprecated: true) { name } enumValues { name } } } }";

/// Members of each type: fields, `field(argument:)`, input fields, values.
type RequestParams = BTreeMap<String, BTreeSet<String>>;

fn built_in(name: &str) -> bool {
    ["Int", "Float", "String", "Boolean", "ID"].contains(&name)
}

fn members(data: &Value) -> RequestParams {
    let mut all = RequestParams::new();
    for ty in data["__schema"]["types"].as_array().unwrap() {
        let name = ty["name"].as_str().unwrap();
        if name.starts_with("__") || built_in(name) {
            continue;
        }
        let members = all.entry(name.to_owned()).or_default();
        for kind in ["fields", "inputFields", "enumValues"] {
            for member in ty[kind].as_array().into_iter().flatten() {
                let member_name = member["name"].as_str().unwrap();
                members.insert(member_name.to_owned());
                for argument in member["args"].as_array().into_iter().flatten() {
                    members.insert(format!("{member_name}({}:)", argument["name"].as_str().unwrap()));
                }
            }
        }
    }
    all
}

/// The same from SDL; every type that is named must be there.
fn members_of(sdl: &str) -> RequestParams {
    let mut all = RequestParams::new();
    let mut named = BTreeSet::new();
    for definition in parse_schema(sdl).unwrap().definitions {
        let TypeSystemDefinition::Type(ty) = definition else { continue };
        let mut members = BTreeSet::new();
        let mut note = |of: &async_graphql::parser::types::Type| {
            named.insert(of.to_string().replace(['[', ']', '!'], ""));
        };
        match &ty.node.kind {
            TypeKind::Object(object) => {
                for field in &object.fields {
                    note(&field.node.ty.node);
                    members.insert(field.node.name.to_string());
                    for argument in &field.node.arguments {
                        note(&argument.node.ty.node);
                        members.insert(format!("{}({}:)", field.node.name, argument.node.name));
                    }
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    note(&field.node.ty.node);
                    members.insert(field.node.name.to_string());
                }
            }
            TypeKind::Enum(of) => {
                members.extend(of.values.iter().map(|value| value.node.value.node.to_string()));
            }
            _ => {}
        }
        all.insert(ty.node.name.to_string(), members);
    }
    let dangling: Vec<_> = named.iter().filter(|name| !all.contains_key(*name) && !built_in(name)).collect();
    assert!(dangling.is_empty(), "{dangling:?} is named and not defined");
    all
}

fn credential(test: &TestApp, roles: &[&str], purposes: &[&str], fields: Option<&[&str]>) -> Credential {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    Credential {
        actor_id: "token:test".to_owned(),
        roles: owned(roles),
        purposes: owned(purposes),
        fields: fields.map(owned),
        expires_at: test.app.now() + TimeDelta::days(1),
        recipient: None,
    }
}

fn actor(test: &TestApp, credential: &Credential) -> Actor {
    Actor::new(test.app.policy.current(), credential, None, "request".to_owned()).unwrap()
}

/// What an actor is shown; introspection and SDL agree.
async fn shown(test: &TestApp, engine: &Pipeline, actor: &Actor) -> RequestParams {
    let request = Request { query: QUERY.to_owned(), ..Request::default() };
    let answer = engine.execute(&test.app, actor, request).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.get("errors").is_none(), "{answer}");
    let members = members(&answer["data"]);
    assert_eq!(members_of(&engine.sdl_for(actor).unwrap()), members);
    members
}

/// An independent reading of the decisions: what is to be shown, found by walking from the roots.
struct Oracle<'a> {
    policy: &'a Policy,
    table: &'a DecisionTable,
    sees_all: bool,
    on_consent: bool,
    objects: BTreeSet<&'static str>,
}

impl Oracle<'_> {
    fn can(&self, action: Action, coordinate: &str) -> bool {
        self.table.allows(self.policy.object(coordinate).unwrap(), action)
    }

    fn readable(&self, object: &ObjectType) -> bool {
        self.can(Action::Read, &format!("{}.{}", object.name, object.key))
    }

    fn target(field: &registry::Field) -> Option<&'static ObjectType> {
        match field.source {
            FieldSource::One { object, .. }
            | FieldSource::Many { object, .. }
            | FieldSource::Connection { object, .. } => Some(object),
            _ => None,
        }
    }

    fn field(&self, object: &ObjectType, field: &registry::Field) -> bool {
        let coordinate = format!("{}.{}", object.name, field.name);
        match Self::target(field) {
            Some(target) => self.can(Action::Read, &coordinate) && self.readable(target),
            None => self.table.decide(self.policy.object(&coordinate).unwrap()) != Decision::Deny,
        }
    }

    fn compared(&self, object: &ObjectType, field: &registry::Field) -> bool {
        let coordinate = format!("{}.{}", object.name, field.name);
        field.filterable
            && self.can(Action::Read, &coordinate)
            && Self::target(field).is_none_or(|target| self.readable(target))
    }

    fn gives(&self, right: &Right) -> bool {
        let withheld = self.on_consent
            && matches!(right, Right::OnField(Action::Update, _, field) if field.required_channel.is_some());
        !withheld && self.can(right.action(), &right.coordinate())
    }

    fn root(&self, root: RootKind) -> bool {
        match root {
            RootKind::Viewer | RootKind::ExplainAccess => true,
            RootKind::One(object) | RootKind::List(object) | RootKind::Connection(object) => {
                self.readable(object)
            }
            RootKind::ConsentState => self.can(Action::Read, "Consent.status"),
            RootKind::ConsentReceipt => {
                registry::receipt_coordinates().iter().all(|coordinate| self.can(Action::Read, coordinate))
            }
        }
    }

    fn mutation(&self, mutation: &registry::Mutation) -> bool {
        let input = |ty: &InputType| {
            ty.all()
                .iter()
                .filter(|field| field.required)
                .all(|field| field.right.as_ref().is_none_or(|right| self.gives(right)))
        };
        self.can(Action::Execute, &format!("Mutation.{}", mutation.name))
            && mutation.required_rights().iter().all(|right| self.gives(right))
            && (mutation.requires_full_access.is_none() || self.sees_all)
            && input(mutation.input)
            && (self.readable(mutation.payload.object) || mutation.payload.secret)
    }

    fn reach(&mut self, object: &'static ObjectType) {
        if !self.readable(object) || !self.objects.insert(object.name) {
            return;
        }
        for field in object.fields {
            if let (true, Some(target)) = (self.field(object, field), Self::target(field)) {
                self.reach(target);
            }
        }
    }

    /// Compares what is shown with what the decisions say.
    fn check(mut self, shown: &RequestParams, who: &str) {
        let named = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<String>>();
        let plain = |ty: &str| -> BTreeSet<String> {
            shown.get(ty).into_iter().flatten().filter(|member| !member.contains('(')).cloned().collect()
        };
        let executes = |name: &str| self.can(Action::Execute, &format!("Query.{name}"));
        let roots: Vec<&registry::RootField> = ROOTS
            .iter()
            .filter(|root| {
                matches!(root.kind, RootKind::Viewer) || (executes(root.name) && self.root(root.kind))
            })
            .collect();
        let names = roots.iter().flat_map(|root| std::iter::once(root.name).chain(root.was)).collect();
        assert_eq!(plain("Query"), named(names), "{who}");
        let followed: Vec<&registry::SubscriptionField> = SUBSCRIPTIONS
            .iter()
            .filter(|one| {
                self.can(Action::Execute, &format!("Subscription.{}", one.name)) && self.readable(one.object)
            })
            .collect();
        assert_eq!(plain("Subscription"), named(followed.iter().map(|one| one.name).collect()), "{who}");
        let mutations: Vec<&registry::Mutation> =
            MUTATIONS.iter().filter(|mutation| self.mutation(mutation)).collect();
        assert_eq!(plain("Mutation"), named(mutations.iter().map(|one| one.name).collect()), "{who}");
        // The viewer is told of purposes.
        self.reach(&registry::PURPOSE);
        for root in roots {
            if let RootKind::One(object) | RootKind::List(object) | RootKind::Connection(object) = root.kind {
                self.reach(object);
            }
        }
        mutations.iter().for_each(|mutation| self.reach(mutation.payload.object));
        for object in OBJECTS {
            let expected: Vec<&str> = object
                .fields
                .iter()
                .filter(|field| self.objects.contains(object.name) && self.field(object, field))
                .map(|field| field.name)
                .collect();
            assert_eq!(plain(object.name), named(expected), "{who} {}", object.name);
            assert_eq!(shown.contains_key(object.name), self.objects.contains(object.name), "{who}");
            let Some(plural) = object.plural else { continue };
            let fields: Vec<&registry::Field> = object
                .fields
                .iter()
                .filter(|field| self.objects.contains(object.name) && self.compared(object, field))
                .collect();
            let mut filter: Vec<&str> = fields
                .iter()
                .flat_map(|field| std::iter::once(field.name).chain(field.filter_name))
                .collect();
            filter.extend(["and", "or", "not"]);
            let ordered = fields.iter().filter(|field| !field.source.is_flag());
            let order: BTreeSet<String> = ordered.map(|field| field.enum_name()).collect();
            for (name, expected) in [("Filter", named(filter)), ("OrderField", order)] {
                if let Some(told) = shown.get(&format!("{plural}{name}")) {
                    assert_eq!(*told, expected, "{who} {plural}");
                }
            }
            for root in ROOTS.iter().filter(|root| plain("Query").contains(root.name)) {
                if matches!(root.kind, RootKind::Connection(of) if of.name == object.name) {
                    let listed = !fields.is_empty();
                    assert_eq!(shown["Query"].contains(&format!("{}(filter:)", root.name)), listed, "{who}");
                    assert_eq!(shown["Query"].contains(&format!("{}(orderBy:)", root.name)), listed, "{who}");
                }
            }
            let total = self.can(Action::Read, &format!("{plural}Connection.totalCount"));
            if let Some(connection) = shown.get(&format!("{plural}Connection")) {
                assert_eq!(connection.contains("totalCount"), total, "{who} {plural}");
            }
        }
        for mutation in mutations {
            let ty = mutation.input;
            let expected = ty
                .all()
                .into_iter()
                .filter(|field| field.right.as_ref().is_none_or(|right| self.gives(right)))
                // A nested input or a list of names goes where nothing of it may be given.
                .filter(|field| match field.kind {
                    registry::InputKind::Object(nested) => shown.contains_key(nested.name),
                    registry::InputKind::FieldNames(of) => shown.contains_key(&format!("{}Field", of.name)),
                    _ => true,
                })
                .flat_map(|field| field.names().collect::<Vec<_>>())
                .collect();
            assert_eq!(plain(ty.name), named(expected), "{who} {}", ty.name);
        }
    }
}

/// Words of more than one hump and coordinates: what cannot be meant otherwise.
fn telling(shown: &RequestParams) -> BTreeSet<String> {
    let hump = |name: &str| name.chars().skip(1).any(|c| c.is_ascii_uppercase());
    let types = shown.keys().filter(|name| hump(name)).cloned();
    let members = shown.iter().flat_map(|(ty, members)| members.iter().map(move |member| (ty, member)));
    let coordinates = members.clone().map(|(ty, member)| format!("{ty}.{member}"));
    let mutations = ["Mutation", "Subscription"].into_iter().flat_map(|root| shown.get(root)).flatten();
    let mutations = mutations.filter(|name| !name.contains('(')).cloned();
    types.chain(coordinates).chain(mutations).collect()
}

#[tokio::test]
async fn every_role_and_purpose_is_shown_what_its_table_allows() {
    let test = each().await.remove(0);
    let engine = Pipeline::new().unwrap();
    let policy = test.app.policy.current();
    let whole = members_of(&engine.sdl());
    let everything = telling(&whole);
    let mut sizes = BTreeSet::new();
    for role in policy.roles() {
        for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
            let who = format!("{role} {}", purpose.code);
            let actor = actor(&test, &credential(&test, &[role], &[&purpose.code], None));
            let shown = shown(&test, &engine, &actor).await;
            sizes.insert(shown.values().map(BTreeSet::len).sum::<usize>());
            let oracle = Oracle {
                policy: &policy,
                table: &actor.decisions,
                sees_all: purpose.sees_all,
                on_consent: purpose.grounds == zweck::policy::Grounds::Consent,
                objects: BTreeSet::new(),
            };
            oracle.check(&shown, &who);
            // Descriptions tell nothing of the rest either.
            let sdl = engine.sdl_for(&actor).unwrap();
            let words: BTreeSet<&str> = sdl
                .split(|c: char| !c.is_alphanumeric() && c != '.')
                .map(|word| word.trim_matches('.'))
                .collect();
            for hidden in everything.difference(&telling(&shown)) {
                assert!(!words.contains(hidden.as_str()), "{who} is told of {hidden}");
            }
        }
    }
    assert!(sizes.len() > 10, "{sizes:?}");
}

#[tokio::test]
async fn who_may_do_nothing_is_shown_himself() {
    let test = each().await.remove(0);
    let engine = Pipeline::new().unwrap();
    let nobody = actor(&test, &credential(&test, &[], &["newsletter"], None));
    let shown = shown(&test, &engine, &nobody).await;
    assert_eq!(shown["Query"], BTreeSet::from(["viewer".to_owned()]));
    assert!(!shown.contains_key("Mutation") && !shown.contains_key("Contact"));
}

/// Without a purpose: what each purpose of the credential permits by itself.
#[tokio::test]
async fn without_a_purpose_the_purposes_are_shown_together() {
    let test = each().await.remove(0);
    let engine = Pipeline::new().unwrap();
    let purposes = ["newsletter", "consent_management", "direct_mail"];
    let open = actor(&test, &credential(&test, &["marketing"], &purposes, None));
    assert!(open.purpose.is_none());
    let together = shown(&test, &engine, &open).await;
    let mut union = RequestParams::new();
    for purpose in purposes {
        let one = actor(&test, &credential(&test, &["marketing"], &[purpose], None));
        for (ty, members) in shown(&test, &engine, &one).await {
            union.entry(ty).or_default().extend(members);
        }
    }
    assert_eq!(together, union);
    assert!(together["Contact"].contains("street") && !together["Contact"].contains("birthDate"));
}

#[tokio::test]
async fn a_narrowed_token_is_shown_these_fields() {
    let test = each().await.remove(0);
    let engine = Pipeline::new().unwrap();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let fields = ["Contact.givenName", "Contact.email"];
    let narrow = actor(&test, &credential(&test, &["dpo"], &["rights_fulfilment"], Some(&fields)));
    let shown_to = shown(&test, &engine, &narrow).await;
    assert_eq!(shown_to["Contact"], set(&["createdAt", "email", "givenName", "id"]));
    assert_eq!(shown_to["ContactOrderField"], set(&["CREATED_AT", "EMAIL", "GIVEN_NAME", "ID"]));
    assert!(shown_to["Query"].contains("contacts(search:)"));
    for gone in ["Consent", "Purpose", "AuditEntry", "ContactState", "Recipient", "ConsentConnection"] {
        assert!(!shown_to.contains_key(gone), "{gone}");
    }
    // Nothing to search or to compare by: no such arguments.
    let narrow = actor(&test, &credential(&test, &["dpo"], &["rights_fulfilment"], Some(&["Contact.notes"])));
    let shown_to = shown(&test, &engine, &narrow).await;
    assert_eq!(shown_to["Contact"], set(&["createdAt", "id", "notes"]));
    assert!(!shown_to["Query"].contains("contacts(search:)"));
}

/// By every way that introspection has, and beside what is denied as ever.
#[tokio::test]
async fn no_way_leads_around() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let partner = test.caller("partner", "newsletter").await;
    for hidden in [
        "ContactPoint",
        "PrivacyRequest",
        "Objection",
        "AuditEntry",
        "ContactState",
        "CreateContactInput",
        "JSON",
    ] {
        let query = "query($name: String!) { a: __type(name: $name) { name fields { name } } ...F }
                     fragment F on Query { __type(name: $name) { ...T } } fragment T on __Type { description }";
        let answer = client.ask_with(&partner, query, json!({ "name": hidden })).await;
        assert_eq!(answer, json!({ "data": { "a": null, "__type": null } }), "{hidden}");
    }
    let data = client
        .data(
            &partner,
            "{ s: __schema { mutationType { name } subscriptionType { name } } t: __type(name: \"Contact\") { fields { name } }
               u: __type(name: \"Contact\") { ... { fields(includeDeprecated: true) { name type { name ofType { name } } } possibleTypes { name } } }
               o: __type(name: \"ContactOrderField\") { enumValues(includeDeprecated: true) { name } }
               f: __type(name: \"ContactFilter\") { inputFields { name } } }",
        )
        .await;
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(data["s"], json!({ "mutationType": { "name": "Mutation" }, "subscriptionType": null }));
    assert_eq!(
        names(&data["t"]["fields"]),
        ["id", "givenName", "email", "country", "preferenceUrl", "createdAt"]
    );
    assert_eq!(names(&data["u"]["fields"]), names(&data["t"]["fields"]));
    assert_eq!(names(&data["o"]["enumValues"]), ["ID", "GIVEN_NAME", "EMAIL", "COUNTRY", "CREATED_AT"]);
    assert_eq!(names(&data["f"]["inputFields"]).len(), 8);
    // Selections of one response key are merged; directives count; beside it data is read and denied as ever.
    let answer = client
        .ask_with(
            &partner,
            "query($no: Boolean!, $filter: ContactFilter) { __typename t: __type(name: \"Contact\") { name }
               ... @skip(if: $no) { t: __type(name: \"Contact\") { kind } } x: __schema @include(if: $no) { types { name } }
               contacts(filter: $filter) { nodes { notes } } consents { nodes { id } } }",
            json!({ "no": false, "filter": { "phone": { "isNull": true } } }),
        )
        .await;
    assert_eq!(problems(&answer), ["FORBIDDEN Query.consents", "FORBIDDEN_FIELD Contact.phone"]);
    assert_eq!(
        answer["data"],
        json!({ "__typename": "Query", "t": { "name": "Contact", "kind": "OBJECT" }, "contacts": null, "consents": null })
    );
    // No suggestion names what is near.
    let answer = client.ask(&partner, "{ contacts { nodes { birthDat } } }").await;
    assert!(!answer.to_string().contains("birthDate"), "{answer}");
    // A field that is hidden is denied, not unknown: the answer of the API does not change with the view.
    let answer = client.ask(&partner, "{ contacts { nodes { birthDate } } }").await;
    assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Contact.birthDate"]);
}

/// A changed policy changes what is shown at once.
#[tokio::test]
async fn a_new_policy_is_shown_at_once() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let partner = test.caller("partner", "newsletter").await;
    let query = "{ __type(name: \"Contact\") { fields { name } } }";
    let before = client.data(&partner, query).await;
    let mut sources = Sources::embedded();
    sources.policy = sources.policy.replace(
        "role:partner, purpose:newsletter, Contact.country, read",
        "role:partner, purpose:newsletter, Contact.phone, mask",
    );
    purposes::reload(&test.app, "cli:test", Ok(crate::policy::without_cases(sources))).await.unwrap();
    let after = client.data(&partner, query).await.to_string();
    assert!(before.to_string().contains("country") && !before.to_string().contains("phone"));
    assert!(!after.contains("country") && after.contains("phone"));
    purposes::reload(&test.app, "cli:test", Ok(Sources::embedded())).await.unwrap();
    assert_eq!(client.data(&partner, query).await, before);
}

#[tokio::test]
async fn the_schema_is_fetched_as_text() {
    for test in each().await {
        let client = Client::of(&test);
        let marketing = test.token(&["marketing"], &["newsletter", "consent_management"]).await;
        let get = |purpose: &'static str| {
            let (client, token) = (client.clone(), marketing.expose_secret().to_owned());
            async move { client.get("/schema.graphql", &token, purpose).await }
        };
        let (status, kind, news) = get("newsletter").await;
        assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
        let fields = members_of(&news);
        assert!(fields["Contact"].contains("email") && !fields["Contact"].contains("contactPoints"));
        assert!(!fields.contains_key("Mutation"));
        let (_, _, both) = get("").await;
        assert!(members_of(&both)["Mutation"].contains("recordConsent") && both.len() > news.len());
        let (status, _, body) = get("accounting").await;
        assert_eq!(status, 403, "{body}");
        let (status, _, body) = client.get("/schema.graphql", "zwk_nonsense", "").await;
        assert!(status == 401 && body.contains("UNAUTHENTICATED"), "{body}");
        // A narrowed token gets its own.
        let new = NewToken {
            name: "narrow".to_owned(),
            roles: vec!["marketing".to_owned()],
            purposes: vec!["newsletter".to_owned()],
            fields: Some(vec!["Contact.email".to_owned()]),
            expires_at: test.app.now() + TimeDelta::days(1),
            recipient_id: None,
        };
        let (_, token) = test.make_token(new).await.unwrap();
        let (_, _, narrow) = client.get("/schema.graphql", token.expose_secret(), "").await;
        assert_eq!(members_of(&narrow)["Contact"].len(), 3);
        let caller = Caller { token, purpose: "newsletter".to_owned() };
        let answer = client.data(&caller, QUERY).await;
        assert_eq!(members(&answer), members_of(&narrow));
    }
}

/// The command line prints the same text.
#[tokio::test]
async fn the_command_line_prints_the_same() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let run = |arguments: &[&str]| {
        let zweck =
            std::process::Command::new(env!("CARGO_BIN_EXE_zweck")).arg("schema").args(arguments).output();
        let output = zweck.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let partner = test.caller("partner", "newsletter").await;
    let (_, _, told) = client.get("/schema.graphql", partner.token.expose_secret(), "newsletter").await;
    assert_eq!(run(&["--role", "partner", "--purpose", "newsletter"]), (Some(0), told));
    assert_eq!(run(&[]).1, include_str!("../schema.graphql"));
    for wrong in [
        &["--role", "partner"][..],
        &["--role", "pirate", "--purpose", "newsletter"],
        &["--role", "partner", "--purpose", "direct_marketing"],
        &["--role", "partner", "--purpose", "newsletter", "--field", "Contact.secret"],
    ] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
}
