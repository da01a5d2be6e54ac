//! Access tokens: what they may say, and that every one that does not hold gets the same answer.

use chrono::TimeDelta;
use sea_orm::EntityTrait;
use zweck::{
    base::error::Code,
    domain::access_tokens::{self, BearerToken, NewToken},
};

use crate::support::{
    app::{TestApp, each},
    client::Client,
};

fn new_token(test: &TestApp) -> NewToken {
    NewToken {
        name: "partner".to_owned(),
        roles: vec!["support".to_owned()],
        purposes: vec!["customer_care".to_owned()],
        fields: Some(vec!["Contact.email".to_owned()]),
        expires_at: test.app.now() + TimeDelta::days(90),
        recipient_id: None,
    }
}

#[tokio::test]
async fn a_token_says_what_it_was_made_for() {
    for test in each().await {
        let (id, token) = test.make_token(new_token(&test)).await.unwrap();
        let credential = access_tokens::authenticate(&test.app, token.expose_secret()).await.unwrap();
        assert_eq!(credential.actor_id, format!("token:{id}"));
        assert_eq!(credential.roles, ["support"]);
        assert_eq!(credential.purposes, ["customer_care"]);
        assert_eq!(credential.fields, Some(vec!["Contact.email".to_owned()]));
    }
}

#[tokio::test]
async fn the_secret_is_not_kept() {
    for test in each().await {
        let (id, token) = test.make_token(new_token(&test)).await.unwrap();
        let row =
            entity::access_token::Entity::find_by_id(id).one(&test.app.db.reader).await.unwrap().unwrap();
        let secret = &token.expose_secret()[21..64];
        assert!(!format!("{row:?}").contains(secret));
        assert_eq!(row.secret_hash.len(), 64);
    }
}

#[tokio::test]
async fn every_credential_that_does_not_hold_gets_the_same_answer() {
    for test in each().await {
        let app = &test.app;
        let (_, token) = test.make_token(new_token(&test)).await.unwrap();
        let (revoked_id, revoked) = test.make_token(new_token(&test)).await.unwrap();
        test.revoke_token(revoked_id).await.unwrap();
        let mut short = new_token(&test);
        short.expires_at = app.now() + TimeDelta::minutes(1);
        let (_, expired) = test.make_token(short).await.unwrap();
        assert!(access_tokens::authenticate(app, expired.expose_secret()).await.is_ok());
        test.clock.advance(TimeDelta::minutes(1));
        let mut typo = token.expose_secret().to_owned();
        typo.pop();
        let presented = [
            typo,
            String::new(),
            BearerToken::generate().expose_secret().to_owned(),
            with_other_secret(&token),
            revoked.expose_secret().to_owned(),
            expired.expose_secret().to_owned(),
        ];
        for (index, text) in presented.iter().enumerate() {
            let error = access_tokens::authenticate(app, text).await.unwrap_err();
            assert_eq!(error.code, Code::Unauthenticated, "case {index}");
            assert_eq!(error.message, access_tokens::refused().message, "case {index}");
        }
        assert!(access_tokens::authenticate(app, token.expose_secret()).await.is_ok());
    }
}

/// The id of one token with the secret of another, the checksum made right by trying nothing: it is computed.
fn with_other_secret(token: &BearerToken) -> String {
    let other = BearerToken::generate();
    let body = format!("zwk_{}_{}", token.lookup(), &other.expose_secret()[21..64]);
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.push(char::from(digits[(rest % 62) as usize]));
        rest /= 62;
    }
    let text = format!("{body}{}", checksum.into_iter().rev().collect::<String>());
    assert!(BearerToken::parse(&text).is_some());
    text
}

#[tokio::test]
async fn a_revocation_counts_at_once_and_a_repeat_changes_nothing() {
    for test in each().await {
        let app = &test.app;
        let (id, token) = test.make_token(new_token(&test)).await.unwrap();
        assert!(access_tokens::authenticate(app, token.expose_secret()).await.is_ok());
        test.revoke_token(id).await.unwrap();
        let first = access_tokens::list(&app.db.reader).await.unwrap().remove(0);
        assert!(access_tokens::authenticate(app, token.expose_secret()).await.is_err());
        test.clock.advance(TimeDelta::minutes(5));
        test.revoke_token(id).await.unwrap();
        let second = access_tokens::list(&app.db.reader).await.unwrap().remove(0);
        assert_eq!(first.revoked_at, second.revoked_at);
        let unknown = test.revoke_token(app.new_id()).await.unwrap_err();
        assert_eq!(unknown.code, Code::NotFound);
        assert_eq!(access_tokens::list(&app.db.reader).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_rotation_gives_the_same_rights_and_ends_the_old_token_after_the_overlap() {
    for test in each().await {
        let app = &test.app;
        let recipient = test.recipient().await;
        let new = NewToken { recipient_id: Some(recipient), ..new_token(&test) };
        let (id, old) = test.make_token(new).await.unwrap();
        test.clock.advance(TimeDelta::days(80));
        let made = app.now();
        let (next_id, next) = test.rotate_token(id, TimeDelta::days(7), None).await.unwrap();
        assert_ne!(next.expose_secret(), old.expose_secret());
        let [before, after] =
            [&old, &next].map(|token| access_tokens::authenticate(app, token.expose_secret()));
        let (before, after) = (before.await.unwrap(), after.await.unwrap());
        assert_eq!(after.actor_id, format!("token:{next_id}"));
        assert_eq!(
            (before.roles, before.purposes, before.fields),
            (after.roles, after.purposes, after.fields)
        );
        assert_eq!(
            (before.expires_at, after.expires_at),
            (made + TimeDelta::days(7), made + TimeDelta::days(90))
        );
        let row =
            entity::access_token::Entity::find_by_id(next_id).one(&app.db.reader).await.unwrap().unwrap();
        assert_eq!((row.name.as_str(), row.recipient_id), ("partner", Some(recipient)));
        // Both are told of: the one that was made, and the one whose end is another.
        let entries = entity::audit_entry::Entity::find().all(&app.db.reader).await.unwrap();
        let told = |id: uuid::Uuid, action: &str| {
            entries.iter().filter(|entry| entry.entity_id == Some(id) && entry.action == action).count()
        };
        assert_eq!((told(next_id, "createAccessToken"), told(id, "rotateAccessToken")), (1, 1));

        test.clock.advance(TimeDelta::days(7) - TimeDelta::microseconds(1));
        assert!(access_tokens::authenticate(app, old.expose_secret()).await.is_ok());
        test.clock.advance(TimeDelta::microseconds(1));
        assert!(access_tokens::authenticate(app, old.expose_secret()).await.is_err());
        assert!(access_tokens::authenticate(app, next.expose_secret()).await.is_ok());
        let ended = test.rotate_token(id, TimeDelta::days(7), None).await.unwrap_err();
        assert_eq!(ended.code, Code::Conflict);
        assert_eq!(
            test.rotate_token(app.new_id(), TimeDelta::zero(), None).await.unwrap_err().code,
            Code::NotFound
        );
        test.revoke_token(next_id).await.unwrap();
        assert_eq!(
            test.rotate_token(next_id, TimeDelta::zero(), None).await.unwrap_err().code,
            Code::Conflict
        );
    }
}

#[tokio::test]
async fn a_rotation_never_prolongs_the_old_token_and_is_done_whole() {
    for test in each().await {
        let app = &test.app;
        let (id, old) = test.make_token(new_token(&test)).await.unwrap();
        let ends = app.now() + TimeDelta::days(90);
        // One that could not be made leaves the old one as it is.
        let late = Some(app.now() + TimeDelta::days(400));
        assert_eq!(
            test.rotate_token(id, TimeDelta::zero(), late).await.unwrap_err().code,
            Code::BadUserInput
        );
        assert!(access_tokens::authenticate(app, old.expose_secret()).await.is_ok());
        assert_eq!(access_tokens::list(&app.db.reader).await.unwrap().len(), 1);
        let soon = app.now() + TimeDelta::days(1);
        let (_, next) = test.rotate_token(id, TimeDelta::days(366), Some(soon)).await.unwrap();
        assert_eq!(access_tokens::authenticate(app, old.expose_secret()).await.unwrap().expires_at, ends);
        assert_eq!(access_tokens::authenticate(app, next.expose_secret()).await.unwrap().expires_at, soon);
        // Without an overlap, or with one before now, it ends at once.
        let (id, old) = test.make_token(new_token(&test)).await.unwrap();
        test.rotate_token(id, TimeDelta::days(-1), None).await.unwrap();
        assert!(access_tokens::authenticate(app, old.expose_secret()).await.is_err());
    }
}

/// Through another connection, as another server or the command line does it, while requests run.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_elsewhere_counts_with_the_next_request() {
    for test in each().await {
        let test = std::sync::Arc::new(test);
        let (id, token) = test.make_token(new_token(&test)).await.unwrap();
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (test, token, done) = (test.clone(), token.clone(), done.clone());
            readers.spawn(async move {
                let mut taken = 0;
                loop {
                    // What is known before the request begins.
                    let over = done.load(std::sync::atomic::Ordering::SeqCst);
                    let answer = access_tokens::authenticate(&test.app, token.expose_secret()).await;
                    if over {
                        assert!(answer.is_err(), "a revoked token was taken");
                        return taken;
                    }
                    taken += u32::from(answer.is_ok());
                }
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let db = zweck::db::Db::connect(&test.url, 2).await.unwrap();
        let policy = zweck::policy::PolicyHandle::new(test.app.policy.current());
        let (clock, keys) = (test.clock.clone(), test.app.keys.clone());
        let other = zweck::app::App::new(db, policy, clock, keys, zweck::auth::oidc::Issuers::default());
        let author = zweck::audit::Author::command(&other, "cli:test", None);
        let mut tx = zweck::audit::begin(&other, author).await.unwrap();
        access_tokens::revoke(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        for taken in readers.join_all().await {
            assert!(taken > 0, "nothing was read before");
        }
    }
}

#[tokio::test]
async fn a_token_cannot_say_what_the_policy_does_not_know() {
    for test in each().await {
        let now = test.app.now();
        let changes: [fn(&mut NewToken); 9] = [
            |new| new.roles = vec!["emperor".to_owned()],
            |new| new.roles.clear(),
            |new| new.purposes = vec!["world_domination".to_owned()],
            |new| new.purposes = vec!["direct_marketing".to_owned()],
            |new| new.purposes.clear(),
            |new| new.fields = Some(vec!["Contact.shoeSize".to_owned()]),
            |new| new.fields = Some(Vec::new()),
            |new| new.name = " ".to_owned(),
            |new| new.name = "a\nb".to_owned(),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut new = new_token(&test);
            change(&mut new);
            let error = test.make_token(new).await.unwrap_err();
            assert_eq!(error.code, Code::BadUserInput, "case {index}");
        }
        for expires_at in [now, now - TimeDelta::days(1), now + TimeDelta::days(367)] {
            let new = NewToken { expires_at, ..new_token(&test) };
            let error = test.make_token(new).await.unwrap_err();
            assert_eq!(error.code, Code::BadUserInput);
        }
        assert!(access_tokens::list(&test.app.db.reader).await.unwrap().is_empty());
    }
}

/// Every bearer may know what its own token is called and until when it holds, whatever its role reads and without a purpose too.
#[tokio::test]
async fn a_bearer_is_told_the_name_and_the_end_of_its_own_token() {
    for test in each().await {
        let client = Client::of(&test);
        for (role, purposes) in [
            ("partner", vec!["newsletter"]),
            ("support", vec!["customer_care"]),
            ("auditor", vec!["security_audit"]),
            ("marketing", vec!["newsletter", "consent_management"]),
        ] {
            let new = NewToken {
                name: format!("the {role}'s \"own\""),
                roles: vec![role.to_owned()],
                purposes: purposes.into_iter().map(str::to_owned).collect(),
                fields: None,
                ..new_token(&test)
            };
            let until = new.expires_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            let (_, token) = test.make_token(new).await.unwrap();
            let query = serde_json::json!({ "query": "{ viewer { name: tokenName expiresAt } }" });
            let (status, body) = client.send_bearing(token.expose_secret(), query, &[]).await;
            let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
            let expected = serde_json::json!({ "viewer": { "name": format!("the {role}'s \"own\""), "expiresAt": until } });
            assert_eq!((status, &answer["data"]), (200, &expected), "{answer}");
        }
    }
}
