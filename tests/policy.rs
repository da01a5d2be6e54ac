//! The policy: the table equals Casbin on every cell, broken files are refused with their line, cases hold.

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter};
use proptest::{prelude::*, test_runner::TestRunner};
use zweck::{
    policy::{Action, Decision, PermissionFilter, Policy, PolicyErrors, PolicyHandle, Sources, cases},
    registry,
};

const EFFECT: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";

/// The shipped policy; loaded once, since nothing changes it.
pub async fn shipped() -> std::sync::Arc<Policy> {
    static SHIPPED: tokio::sync::OnceCell<std::sync::Arc<Policy>> = tokio::sync::OnceCell::const_new();
    let load = async || std::sync::Arc::new(load(&Sources::embedded()).await.unwrap());
    SHIPPED.get_or_init(load).await.clone()
}

/// `sources` with cases that hold under nearly every policy: of one that is bent for a test not all that must hold does.
pub fn without_cases(sources: Sources) -> Sources {
    let cases = "- name: partners read no notes\n  roles: [partner]\n  purpose: newsletter\n  objects: [Contact.notes]\n  action: read\n  \
                 expect: DENY\n  because: \"test\"\n";
    Sources { cases: cases.to_owned(), ..sources }
}

async fn load(sources: &Sources) -> Result<Policy, PolicyErrors> {
    Policy::load(sources, &registry::policy_objects()).await
}

const SUBJECT: &str = "role:everything_asked";

/// Casbin with the whole policy and a subject that has all of `roles`, or with the rules alone that can match the subject and the purpose
/// by Casbin's own links.
async fn oracle(policy: &Policy, roles: &[String], purpose: Option<&str>, effect: &str) -> Enforcer {
    let model = DefaultModel::from_str(&Sources::embedded().model.replace(EFFECT, effect)).await.unwrap();
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.unwrap();
    let (rules, links): (Vec<_>, Vec<_>) = policy.casbin_lines().into_iter().partition(|line| line[0] == "p");
    for mut link in links {
        let kind = link.remove(0);
        enforcer.get_mut_model().add_policy("g", &kind, link);
    }
    for role in roles {
        let link = vec![SUBJECT.to_owned(), format!("role:{role}")];
        enforcer.get_mut_model().add_policy("g", "g", link);
    }
    enforcer.build_role_links().unwrap();
    let is_linked = |kind: &str, from: &str, to: &str| {
        enforcer.get_model().get_model()["g"][kind].rm.read().has_link(from, to, None)
    };
    let can_match = |rule: &&Vec<String>| {
        purpose.is_none_or(|purpose| is_linked("g", SUBJECT, &rule[1]) && is_linked("g2", purpose, &rule[2]))
    };
    let rules: Vec<Vec<String>> = rules.iter().filter(can_match).map(|rule| rule[1..].to_vec()).collect();
    for rule in rules {
        enforcer.get_mut_model().add_policy("p", "p", rule);
    }
    enforcer
}

/// What Casbin decides: with the rules that can match, and of a sample of the cells (of all with `ZWECK_FULL=1`) with the whole policy as
/// well.
struct Oracle {
    matching: Enforcer,
    whole: Enforcer,
    purpose: String,
}

/// One cell of so many is asked of the whole policy.
const SAMPLE: usize = 23;

impl Oracle {
    async fn new(policy: &Policy, roles: &[String], purpose: &str, effect: &str) -> Self {
        let purpose = format!("purpose:{purpose}");
        Self {
            matching: oracle(policy, roles, Some(&purpose), effect).await,
            whole: oracle(policy, roles, None, effect).await,
            purpose,
        }
    }

    fn ask(&self, number: usize, object: &str, action: Action) -> bool {
        let request = || (SUBJECT, self.purpose.as_str(), object, action.as_str());
        let decision = self.matching.enforce(request()).unwrap();
        if number.is_multiple_of(SAMPLE) || crate::support::in_full() {
            let whole = self.whole.enforce(request()).unwrap();
            assert_eq!(decision, whole, "{} {object} {}", self.purpose, action.as_str());
        }
        decision
    }
}

async fn compare(policy: &Policy, roles: &[String], purpose: &str) {
    let both = Oracle::new(policy, roles, purpose, EFFECT).await;
    let no_deny = Oracle::new(policy, roles, purpose, "!some(where (p.eft == deny))").await;
    let table = policy.table(roles, purpose, None).unwrap();
    for (number, (object, action)) in policy.cells().enumerate() {
        let id = policy.object(object).unwrap();
        let expected = match action {
            Action::Mask => {
                // A deny on `read` also denies `mask`.
                both.ask(number, object, action) && no_deny.ask(number, object, Action::Read)
            }
            // To update a field one needs full `read` of it too.
            Action::Update => both.ask(number, object, action) && both.ask(number, object, Action::Read),
            _ => both.ask(number, object, action),
        };
        assert_eq!(table.allows(id, action), expected, "{roles:?} {purpose} {object} {}", action.as_str());
    }
    for object in registry::OBJECTS {
        let decide = |field: &str| table.decide(policy.object(&format!("{}.{field}", object.name)).unwrap());
        let keys = |field: &&registry::Field| field.category == registry::DataCategory::Key;
        let any = object
            .fields
            .iter()
            .filter(|field| !keys(field))
            .any(|field| decide(field.name) != Decision::Deny);
        for field in object.fields.iter().filter(keys) {
            assert_eq!(decide(field.name) == Decision::Allow, any, "{}.{}", object.name, field.name);
        }
    }
}

#[tokio::test]
async fn the_table_equals_casbin_on_every_cell_of_the_shipped_policy() {
    let policy = shipped().await;
    for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
        for role in policy.roles() {
            compare(&policy, std::slice::from_ref(role), &purpose.code).await;
        }
        compare(&policy, policy.roles(), &purpose.code).await;
    }
}

#[test]
fn the_table_equals_casbin_on_random_policies() {
    let roles = ["marketing", "sales", "partner", "anyone"];
    let purposes = ["newsletter", "direct_mail", "direct_marketing", "any"];
    let objects =
        ["Contact.email", "data:email", "type:Contact", "Contact.city", "data:postal", "type:Purpose"];
    let actions = ["read", "mask", "create", "update"];
    let pick = |words: &'static [&'static str]| proptest::sample::select(words);
    let line = (
        pick(Vec::leak(roles.to_vec())),
        pick(Vec::leak(purposes.to_vec())),
        pick(Vec::leak(objects.to_vec())),
        pick(Vec::leak(actions.to_vec())),
        proptest::bool::weighted(0.7),
    );
    let inherits =
        proptest::option::of(pick(&["g, role:sales, role:marketing", "g, role:partner, role:sales"]));
    let policies = (proptest::collection::btree_set(line, 1..12), inherits);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() });
    runner
        .run(&policies, |(lines, inherits)| {
            let mut text: Vec<String> = lines
                .iter()
                .map(|(role, purpose, object, action, allow)| {
                    let effect = if *allow { "allow" } else { "deny" };
                    format!("p, role:{role}, purpose:{purpose}, {object}, {action}, {effect}")
                })
                .collect();
            text.extend(inherits.map(str::to_owned));
            let sources = Sources { policy: text.join("\n"), ..Sources::embedded() };
            runtime.block_on(async {
                let policy = load(&sources).await.unwrap();
                for asked in [&["marketing"][..], &["partner"], &["sales", "partner"]] {
                    let asked: Vec<String> = asked.iter().map(|role| (*role).to_owned()).collect();
                    compare(&policy, &asked, "newsletter").await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_named_cases_hold() {
    let cases = cases::read(&Sources::embedded()).unwrap();
    assert!(cases.iter().map(|case| case.objects.len()).sum::<usize>() > 100);
    assert_eq!(cases::run(&*shipped().await, &cases), Vec::new());
    let mut wrong = cases.first().unwrap().clone();
    wrong.expect = "DENY".to_owned();
    assert_eq!(cases::run(&*shipped().await, &[wrong.clone()]).len(), wrong.objects.len());
    // Everything is of use.
    let odd: Vec<String> = shipped().await.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(odd, Vec::<String>::new());
}

/// One kind of broken policy: where the text goes, what is expected.
struct Broken(&'static str, &'static str, &'static str, usize);

#[tokio::test]
async fn broken_files_are_refused_with_code_and_line() {
    const GOOD: &str = "p, role:dpo, purpose:newsletter, Contact.email, read, allow";
    let long_chain = "g, role:admin, role:dpo\ng, role:dpo, role:privacy_desk\ng, role:privacy_desk, role:marketing\n\
         g, role:marketing, role:sales\ng, role:sales, role:support\ng, role:support, role:accounting\n\
         g, role:accounting, role:auditor\ng, role:auditor, role:partner\ng, role:partner, role:subject";
    let broken = [
        Broken("policy", "", "EMPTY_POLICY", 0),
        Broken("policy", "# nothing but a comment", "EMPTY_POLICY", 0),
        Broken(
            "policy",
            "p, role:markting, purpose:newsletter, Contact.email, read, allow",
            "UNKNOWN_ROLE",
            2,
        ),
        Broken("policy", "p, role:dpo, purpose:newslettr, Contact.email, read, allow", "UNKNOWN_PURPOSE", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.emial, read, allow", "UNKNOWN_OBJECT", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, data:emial, read, allow", "UNKNOWN_OBJECT", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, type:Kontakt, read, allow", "UNKNOWN_OBJECT", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.email, view, allow", "UNKNOWN_ACTION", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.email, READ, allow", "UNKNOWN_ACTION", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.phone, read, Deny", "UNKNOWN_EFFECT", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.phone, read", "WRONG_WIDTH", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.phone, read, allow, x", "WRONG_WIDTH", 2),
        Broken("policy", "g, role:dpo", "WRONG_WIDTH", 2),
        Broken("policy", "p, role:dpo, , Contact.phone, read, allow", "EMPTY_VALUE", 2),
        Broken("policy", "p, dpo, purpose:newsletter, Contact.phone, read, allow", "MISSING_PREFIX", 2),
        Broken("policy", "p, role:dpo, newsletter, Contact.phone, read, allow", "MISSING_PREFIX", 2),
        Broken("policy", GOOD, "DUPLICATE_LINE", 2),
        Broken("policy", "q, role:dpo, role:admin", "UNKNOWN_KIND", 2),
        Broken("policy", "g3, Contact.email, data:phone", "LINK_OF_REGISTER", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Contact.id, read, allow", "DERIVED_OBJECT", 2),
        Broken("policy", "p, role:dpo, purpose:newsletter, Query.contacts, read, allow", "ACTION_MISFIT", 2),
        Broken(
            "policy",
            "p, role:dpo, purpose:newsletter, Contact.email, execute, allow",
            "ACTION_MISFIT",
            2,
        ),
        Broken("policy", "p, \"role:dpo\", purpose:newsletter, Contact.phone, read, allow", "QUOTED", 2),
        Broken("policy", "g, role:dpo, role:admin\ng, role:admin, role:dpo", "CYCLE", 3),
        Broken("policy", "g, role:dpo, role:dpo", "CYCLE", 2),
        Broken("policy", "g2, purpose:newsletter, purpose:accounting", "NOT_A_GROUP", 2),
        Broken("policy", long_chain, "CHAIN_TOO_LONG", 10),
        Broken("purposes", "[[role]]\ncode = \"dpo2\"", "MISSING_KEY", 0),
        Broken("purposes", "[[rolle]]\ncode = \"x\"", "UNKNOWN_KEY", 0),
        Broken(
            "purposes",
            "[[role]]\ncode = \"dpo\"\ntitle_de = \"x\"\ntitle_en = \"x\"",
            "DUPLICATE_CODE",
            0,
        ),
        Broken("purposes", "[[role]]\ncode = \"Ä\"\ntitle_de = \"x\"\ntitle_en = \"x\"", "BAD_CODE", 0),
        Broken(
            "purposes",
            "[[role]]\ncode = \"a123456789a123456789a123456789a123456789a123456789a123456789a1234\"\ntitle_de = \"x\"\ntitle_en = \"x\"",
            "BAD_CODE",
            0,
        ),
        Broken("purposes", "[[role]\n", "TOML_SYNTAX", 0),
        Broken("model", "# other\n[matchers]\nm = true", "FOREIGN_MODEL", 0),
    ];
    for Broken(file, text, code, line) in broken {
        let mut sources = Sources::embedded();
        match file {
            "policy" if line == 0 => sources.policy = text.to_owned(),
            "policy" => sources.policy = format!("{GOOD}\n{text}\n"),
            "purposes" => sources.purposes.push_str(&format!("\n{text}\n")),
            _ => sources.model.push_str(text),
        }
        let errors = load(&sources).await.expect_err(text).0;
        let found = errors.iter().find(|error| error.code == code);
        let found = found.unwrap_or_else(|| panic!("{text}: expected {code}, got {errors:?}"));
        assert!(found.file.starts_with("policies/"), "{}", found.file);
        if file == "policy" {
            assert_eq!(found.line, line, "{text}: {errors:?}");
        } else if file == "purposes" {
            assert!(found.line > 100, "{text}: {errors:?}");
        }
    }
}

/// Purposes that contradict themselves, by the key that is replaced in the shipped file.
#[tokio::test]
async fn contradictory_purposes_are_refused() {
    for (old, new, code) in [
        ("legal_basis = \"CONSENT\"", "legal_basis = \"CONSENTS\"", "UNKNOWN_BASIS"),
        ("grounds = \"consent\"", "grounds = \"recorded\"", "BASIS_AND_GROUNDS"),
        ("grounds = \"recorded\"", "grounds = \"some\"", "UNKNOWN_GROUNDS"),
        ("channels = [\"EMAIL\"]", "channels = [\"FAX\"]", "UNKNOWN_CHANNEL"),
        ("channels = [\"PHONE\"]", "", "CHANNELS_MISSING"),
        ("group = \"direct_marketing\"", "group = \"marketing\"", "UNKNOWN_GROUP"),
        ("group = \"direct_marketing\"", "group = \"customer_care\"", "NOT_A_GROUP"),
        ("is_group = true", "is_group = true\nlegal_basis = \"CONTRACT\"", "GROUP_WITH_BASIS"),
        ("is_group = true", "is_group = \"yes\"", "WRONG_TYPE"),
        ("sees = \"all\"", "sees = \"most\"", "UNKNOWN_SEES"),
        ("allowed_while = [\"retained\"]", "allowed_while = [\"erased\"]", "UNKNOWN_STATE"),
        ("validity = \"P2Y\"", "validity = \"2 years\"", "BAD_PERIOD"),
        ("dpv = \"https:", "dpv = \"http:", "BAD_IRI"),
        ("code = \"newsletter\"", "code = \"any\"", "RESERVED"),
    ] {
        let mut sources = Sources::embedded();
        assert!(sources.purposes.contains(old), "{old}");
        sources.purposes = sources.purposes.replacen(old, new, 1);
        let errors = load(&sources).await.expect_err(new).0;
        assert!(errors.iter().any(|error| error.code == code && error.line > 0), "{new}: {errors:?}");
    }
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let text = "p, role:a, purpose:newsletter, Contact.email, read, allow\np, role:dpo, purpose:b, Contact.email, read, Deny";
    let errors = load(&Sources { policy: text.to_owned(), ..Sources::embedded() }).await.unwrap_err();
    let told: Vec<(usize, &str)> = errors.0.iter().map(|error| (error.line, error.code)).collect();
    assert_eq!(told, [(1, "UNKNOWN_ROLE"), (2, "UNKNOWN_PURPOSE"), (2, "UNKNOWN_EFFECT")]);
    assert!(errors.to_string().starts_with("policies/policy.csv:1: unknown role `a`"), "{errors}");
}

#[tokio::test]
async fn a_token_narrows_and_never_widens() {
    let policy = shipped().await;
    let only = vec!["Contact.email".to_owned(), "Contact.phone".to_owned()];
    let table = policy.table(&["marketing".to_owned()], "newsletter", Some(&only)).unwrap();
    let decide = |name: &str| table.decide(policy.object(name).unwrap());
    assert_eq!(decide("Contact.email"), Decision::Allow);
    assert_eq!(decide("Contact.id"), Decision::Allow);
    assert_eq!(decide("Contact.phone"), Decision::Deny);
    assert_eq!(decide("Contact.givenName"), Decision::Deny);
    assert_eq!(decide("Consent.id"), Decision::Deny);
    assert!(table.allows(policy.object("Query.contacts").unwrap(), Action::Execute));
}

#[tokio::test]
async fn unknown_names_and_groups_have_no_table() {
    let policy = shipped().await;
    for (role, purpose) in [("nobody", "newsletter"), ("dpo", "nothing"), ("dpo", "direct_marketing")] {
        assert!(policy.table(&[role.to_owned()], purpose, None).is_err(), "{role} {purpose}");
    }
}

#[tokio::test]
async fn a_bad_reload_keeps_the_old_policy() {
    let live = PolicyHandle::new(shipped().await);
    let before = live.current().revision().to_owned();
    let bad = Sources { policy: "p, role:dpo".to_owned(), ..Sources::embedded() };
    live.reload(&bad, &registry::policy_objects()).await.unwrap_err();
    assert_eq!(live.current().revision(), before);
    let mut good = Sources::embedded();
    good.policy.push_str("\np, role:partner, purpose:newsletter, Contact.language, read, allow\n");
    let revisions = live.reload(&good, &registry::policy_objects()).await.unwrap();
    assert_eq!(revisions.before, before);
    assert_eq!(live.current().revision(), revisions.after);
}

#[tokio::test]
async fn an_explanation_names_the_lines() {
    let policy = shipped().await;
    let rules = policy.explain("marketing", "newsletter", "Contact.city", Action::Read);
    assert_eq!(rules.len(), 1);
    assert!(rules[0].text.ends_with("Contact.city, mask, allow"), "{rules:?}");
    let line = Sources::embedded().policy.lines().nth(rules[0].line - 1).unwrap().to_owned();
    assert_eq!(line, rules[0].text);
    assert!(policy.explain("partner", "newsletter", "Contact.city", Action::Read).is_empty());
}

/// What can be left out is told, and only that: without it nothing changes.
#[tokio::test]
async fn idle_rules_are_those_that_change_nothing() {
    let text = "p, role:dpo, purpose:newsletter, data:email, read, allow
p, role:dpo, purpose:newsletter, Contact.email, read, allow
p, role:dpo, purpose:newsletter, Contact.phone, read, deny
p, role:sales, purpose:any, Contact.city, mask, allow
p, role:sales, purpose:newsletter, Contact.city, read, deny
p, role:anyone, purpose:accounting, type:Purpose, read, allow
p, role:support, purpose:accounting, Purpose.code, read, allow
p, role:support, purpose:newsletter, Contact.company, read, deny
p, role:partner, purpose:newsletter, Contact.company, read, allow";
    let policy = load(&Sources { policy: text.to_owned(), ..Sources::embedded() }).await.unwrap();
    let idle: Vec<usize> = policy
        .warnings()
        .iter()
        .filter(|warning| warning.code == "IDLE_RULE")
        .map(|warning| warning.line)
        .collect();
    assert_eq!(idle, [2, 3, 7]);
    // Credentials have several roles: whatever two of them may together counts.
    let together = |policy: &Policy| {
        let mut all = Vec::new();
        for one in policy.roles() {
            for other in policy.roles() {
                for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
                    let table = policy.table(&[one.clone(), other.clone()], &purpose.code, None).unwrap();
                    all.extend(
                        policy
                            .cells()
                            .map(|(object, action)| table.allows(policy.object(object).unwrap(), action)),
                    );
                }
            }
        }
        all
    };
    let all = together(&policy);
    for line in 1..=9 {
        let without: Vec<&str> =
            text.lines().enumerate().filter(|(index, _)| index + 1 != line).map(|(_, line)| line).collect();
        let without = load(&Sources { policy: without.join("\n"), ..Sources::embedded() }).await.unwrap();
        assert_eq!(together(&without) == all, idle.contains(&line), "line {line}");
    }
    // Nor is a role idle that takes something away.
    let of_support: Vec<&str> = policy
        .warnings()
        .iter()
        .filter(|warning| warning.code == "IDLE_ROLE")
        .map(|warning| warning.message.as_str())
        .collect();
    assert!(!of_support.iter().any(|message| message.contains("`support`")), "{of_support:?}");
}

/// What must hold is part of a policy: whoever puts it in force asks.
#[tokio::test]
async fn a_policy_that_breaks_its_own_cases_is_refused() {
    let mut broken = Sources::embedded();
    broken.policy.push_str("\np, role:marketing, purpose:newsletter, Contact.notes, read, allow\n");
    assert!(load(&broken).await.is_ok(), "it can be looked at");
    let refused = Policy::load_proved(&broken, &registry::policy_objects()).await.unwrap_err().0;
    assert_eq!((refused.len(), refused[0].code), (1, "CASE"), "{refused:?}");
    let line =
        broken.cases.lines().position(|line| line == "- name: marketing sees nothing further").unwrap();
    assert_eq!(refused[0].line, line + 1);
    assert!(
        refused[0].message.contains("Contact.notes: ALLOW, but DENY is expected"),
        "{}",
        refused[0].message
    );
    assert!(Policy::load_proved(&Sources::embedded(), &registry::policy_objects()).await.is_ok());
}

/// The list of rights is the decisions themselves.
#[tokio::test]
async fn holdings_are_the_decisions() {
    let policy = shipped().await;
    let part = PermissionFilter {
        role: Some("marketing".to_owned()),
        purpose: Some("newsletter".to_owned()),
        type_name: Some("Contact".to_owned()),
    };
    let told: Vec<String> =
        policy.permissions(&part).iter().map(|of| format!("{} {}", of.right, of.object)).collect();
    assert_eq!(
        told,
        [
            "mask Contact.city",
            "read Contact.consents",
            "read Contact.country",
            "read Contact.createdAt",
            "read Contact.email",
            "read Contact.familyName",
            "read Contact.givenName",
            "read Contact.id",
            "read Contact.language",
            "read Contact.preferenceUrl"
        ]
    );
    assert_eq!(policy.who_can("Contact.email", "newsletter", Action::Read), ["marketing", "partner"]);
    assert_eq!(policy.who_can("Contact.city", "newsletter", Action::Mask), ["marketing"]);
    assert_eq!(
        policy.who_can("Mutation.restrictContact", "rights_fulfilment", Action::Execute),
        ["privacy_desk"]
    );
    assert_eq!(policy.who_can("token:role:partner", "administration", Action::Grant), ["admin"]);
}

/// The matrix for people who do not read rules: titles, a legend, and every cell that the table has.
#[test]
fn the_matrix_is_a_page() {
    use crate::support::process::{run, text};
    let directory = tempfile::tempdir().unwrap();
    let matrix = |format: &str| {
        let made = run(directory.path(), &[], &["policy", "matrix", "--format", format]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        text(&made.stdout)
    };
    let (page, table, rights) = (matrix("html"), matrix("table"), matrix("csv"));
    assert!(
        table.starts_with("R read, M read masked, c create, u update, x execute, g grant; - nothing\n"),
        "{table}"
    );
    // A letter for every right.
    let letters = page.matches("<td>").count();
    assert!(letters > 1_000, "{letters}");
    let told: usize = page.split("<main>").nth(1).unwrap().matches("<b class=").count();
    assert_eq!(told, rights.lines().count() - 1);
    for part in ["Customer care", "<code class=\"aside\">customer_care</code>", "<a href=\"#newsletter\">"] {
        assert!(page.contains(part), "{part}");
    }
    // One type is enough for the browser: axe looks at every cell.
    let part = ["policy", "matrix", "--format", "html", "--type", "Contact", "--purpose", "customer_care"];
    let file = directory.path().join("matrix.html");
    std::fs::write(&file, run(directory.path(), &[], &part).stdout).unwrap();
    crate::pages::browser::glance(&[("matrix", format!("file://{}", file.display()), Some("contact.email"))]);
}

/// Nobody is told as nobody.
#[test]
fn who_can_says_that_nobody_can() {
    use crate::support::process::{run, text};
    let directory = tempfile::tempdir().unwrap();
    let made =
        run(directory.path(), &[], &["policy", "who-can", "AuditEntry.actor", "--purpose", "newsletter"]);
    assert!(made.status.success() && made.stdout.is_empty(), "{}", text(&made.stderr));
    assert!(
        text(&made.stderr).contains("nobody may read AuditEntry.actor for newsletter"),
        "{}",
        text(&made.stderr)
    );
}

/// A hole is a field that is denied and that no case keeps so: it is listed, and gone from the list once a case speaks about it.
#[test]
fn coverage_tells_what_no_case_keeps_denied() {
    use crate::support::process::{run, text};
    let directory = tempfile::tempdir().unwrap();
    let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let copied = std::process::Command::new("cp").arg("-r").arg(&policies).arg(directory.path()).status();
    assert!(copied.unwrap().success());
    let part =
        ["--coverage", "--denied", "--role", "support", "--purpose", "accounting", "--type", "Contact"];
    let listed = || {
        let arguments = [["--policy-dir", "policies", "policy", "test"].as_slice(), &part].concat();
        let told = run(directory.path(), &[], &arguments);
        assert!(told.status.success(), "{}", text(&told.stderr));
        text(&told.stdout)
    };
    let hole = "support not read Contact.notes for accounting\n";
    let before = listed();
    assert!(before.contains(hole), "{before}");
    let cases = directory.path().join("policies/cases.yaml");
    let more = "\n- name: support sees no notes for accounting\n  roles: [support]\n  purpose: accounting\n  objects: [Contact.notes]\n  action: read\n  expect: DENY\n  because: \"not needed\"\n";
    let known = std::fs::read_to_string(&cases).unwrap();
    std::fs::write(&cases, format!("{known}{more}")).unwrap();
    let after = listed();
    assert!(!after.contains(hole), "{after}");
    assert_eq!(after.lines().count() + 1, before.lines().count());
}

/// The matrix of the shipped policy is reviewed as a file: whoever changes a right changes it there too.
#[test]
fn the_matrix_of_the_shipped_policy_is_the_reviewed_one() {
    use crate::support::process::{run, text};
    let directory = tempfile::tempdir().unwrap();
    let file = format!("{}/tests/golden/matrix.csv", env!("CARGO_MANIFEST_DIR"));
    let checked = run(directory.path(), &[], &["policy", "matrix", "--check", &file]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}
