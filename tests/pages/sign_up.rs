//! Sign-up: every text in full, nothing ticked, mended where it is wrong, confirmed by POST alone.

use entity::{contact, mail, sign_up};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::{PagesState, sites, values};
use crate::signups::tokens;

const FORM: &str = "/p/signup/newsletter";
const VERSION: (&str, &str) = ("version-newsletter", "2026-1");
const CHOICE: (&str, &str) = ("choice", "newsletter");
const LANGUAGE: (&str, &str) = ("language", "en");

/// The text of a consent as the page has it.
fn text(purpose: &str, language: &str) -> String {
    let path = format!("{}/policies/texts/{purpose}/{language}/2026-1.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// What marketing reads of the person under the newsletter.
async fn read(site: &PagesState) -> serde_json::Value {
    let marketing = site.test.caller("marketing", "newsletter").await;
    let data = site.client().data(&marketing, "{ contacts { nodes { givenName email } } }").await;
    let nodes = data["contacts"]["nodes"].as_array().unwrap().iter();
    nodes.filter(|node| node["email"] == "New@Example.org").cloned().collect()
}

async fn person(site: &PagesState) -> uuid::Uuid {
    let found = contact::Entity::find().filter(contact::Column::EmailKey.eq("new@example.org"));
    found.one(&site.test.app.db.reader).await.unwrap().unwrap().id
}

#[tokio::test]
async fn the_form_shows_every_text_in_full_and_ticks_nothing() {
    let site = sites().await.remove(0);
    for language in ["de", "en"] {
        let page = site.get(&format!("{FORM}?lang={language}")).await;
        assert_eq!(page.status, 200);
        for purpose in ["newsletter", "event_invitations"] {
            assert!(page.body.contains(&text(purpose, language)), "{purpose} {language}");
        }
        assert!(page.body.contains(&format!("<html lang=\"{language}\">")));
        assert!(!page.body.contains(" checked"));
        assert_eq!(values(&page.body, "type").iter().filter(|kind| **kind == "checkbox").count(), 2);
        for id in ["email", "givenName", "familyName", "choice-newsletter"] {
            assert!(values(&page.body, "for").contains(&id), "{id} has no label");
        }
        assert!(page.body.contains("Example GmbH") && page.body.contains("privacy office, room 4"));
        assert!(page.body.contains("tabindex=\"-1\" autocomplete=\"off\""));
    }
    for path in ["/p/signup/nonsense", "/p/signup/nonsense/sent", "/p/signup", "/p/signup/"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
        assert_eq!(site.post(path, &[CHOICE]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_sign_up_counts_from_its_confirmation_until_its_withdrawal() {
    for site in sites().await {
        let typed = [LANGUAGE, CHOICE, VERSION, ("email", "New@Example.org"), ("givenName", "Nora")];
        let sent = site.post(FORM, &typed).await;
        assert_eq!((sent.status, sent.location()), (303, "/p/signup/newsletter/sent"));
        assert!(site.get(sent.location()).await.body.contains("Look into your mailbox"));
        assert_eq!(read(&site).await, json!([]));
        let token = tokens(&site.test).await.pop().unwrap();
        let path = format!("/p/{token}");
        for _ in 0..2 {
            let page = site.get(&path).await;
            assert_eq!(page.status, 200);
            assert!(page.body.contains(&text("newsletter", "en")));
            assert!(!page.body.contains(&token) && !page.body.to_lowercase().contains("new@example.org"));
            assert_eq!(read(&site).await, json!([]));
        }
        let confirmed = site.post(&path, &[("action", "confirm")]).await;
        assert_eq!((confirmed.status, confirmed.location()), (303, "/p/confirmed"));
        assert_eq!(site.get("/p/confirmed").await.status, 200);
        assert_eq!(read(&site).await, json!([{ "givenName": "Nora", "email": "New@Example.org" }]));
        assert_eq!(site.get(&path).await.status, 404);
        assert_eq!(site.post(&path, &[("action", "confirm")]).await.status, 404);

        let link = site.preference(person(&site).await, "newsletter", "new@example.org").await;
        let form = [("purpose", "newsletter"), ("action", "withdraw")];
        let withdrawn = site.post(&format!("/p/{link}"), &form).await;
        assert_eq!((withdrawn.status, withdrawn.location()), (303, "?done=withdrawn"));
        assert_eq!(read(&site).await, json!([]));
    }
}

#[tokio::test]
async fn faults_are_told_beside_what_was_typed() {
    let site = sites().await.remove(0);
    let typed = [LANGUAGE, ("email", "nobody at <all>"), ("givenName", "<script>alert(1)</script>")];
    let page = site.post(FORM, &typed).await;
    assert_eq!(page.status, 422);
    assert!(!page.body.contains("<script>") && !page.body.contains("<all>"));
    assert!(page.body.contains("nobody at &#60;all&#62;") && page.body.contains("&#60;script&#62;alert(1)"));
    assert!(page.body.contains("role=\"alert\""));
    for (field, fault) in [
        ("choices", "Choose at least one consent."),
        ("email", "Enter an e-mail address of the form name@example.org."),
    ] {
        assert!(page.body.contains(&format!("<li><a href=\"#{field}\">{fault}</a></li>")), "{}", page.body);
        assert!(page.body.contains(&format!("id=\"{field}-fault\">{fault}</p>")));
        let fault = format!("{field}-fault");
        assert!(values(&page.body, "aria-describedby").iter().any(|ids| ids.contains(&fault)));
    }
    assert_eq!(page.body.matches(" autofocus").count(), 1);
    assert!(page.body.find(" autofocus").unwrap() < page.body.find("id=\"email\"").unwrap());
    // What was ticked stays so.
    let page = site.post(FORM, &[LANGUAGE, CHOICE, VERSION]).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("Enter your e-mail address."));
    assert_eq!(page.body.matches(" checked").count(), 1);
    let long = "x".repeat(501);
    let typed = [LANGUAGE, CHOICE, VERSION, ("email", "a.b@example.org"), ("familyName", &long)];
    let page = site.post(FORM, &typed).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("id=\"familyName-fault\""));
    assert_eq!(site.count::<sign_up::Entity>().await, 0);
}

#[tokio::test]
async fn who_has_read_another_text_is_shown_the_new_one() {
    let site = sites().await.remove(0);
    for version in ["2025-1", ""] {
        let typed = [LANGUAGE, CHOICE, ("version-newsletter", version), ("email", "new@example.org")];
        let page = site.post(FORM, &typed).await;
        assert_eq!(page.status, 422);
        assert!(page.body.contains("has changed since you opened this form"));
        assert!(page.body.contains("value=\"new@example.org\"") && !page.body.contains(" checked"));
        assert!(values(&page.body, "value").contains(&"2026-1"));
    }
    // Of a purpose that is none of the form nothing is taken.
    let other =
        [("choice", "phone_marketing"), ("version-phone_marketing", "2026-1"), ("email", "a@b.example")];
    assert_eq!(site.post(FORM, &other).await.status, 422);
    assert_eq!(site.count::<sign_up::Entity>().await, 0);
}

#[tokio::test]
async fn programs_that_fill_every_field_are_told_the_same_and_store_nothing() {
    let site = sites().await.remove(0);
    let typed = [LANGUAGE, CHOICE, VERSION, ("email", "new@example.org")];
    let trapped = site.post(FORM, &[&typed[..], &[("subject_line", "buy")]].concat()).await;
    assert_eq!((site.count::<sign_up::Entity>().await, site.count::<mail::Entity>().await), (0, 0));
    assert_eq!(site.post(FORM, &typed).await, trapped);
    assert_eq!(site.count::<sign_up::Entity>().await, 1);
    let trapped = site.post("/p/link", &[("email", "anna@example.org"), ("subject_line", "buy")]).await;
    assert_eq!(site.count::<mail::Entity>().await, 1);
    assert_eq!(site.post("/p/link", &[("email", "anna@example.org")]).await, trapped);
    assert_eq!(site.count::<mail::Entity>().await, 2);
}

/// What is kept says in which language the person has read the text.
#[tokio::test]
async fn the_language_of_the_text_is_that_of_the_form() {
    let site = sites().await.remove(0);
    let typed = [("language", "de"), CHOICE, VERSION, ("email", "new@example.org")];
    // The browser of the person likes English best, and the form was switched to German.
    let sent = site.post(&format!("{FORM}?lang=de"), &typed).await;
    assert_eq!(sent.location(), "/p/signup/newsletter/sent?lang=de");
    let token = tokens(&site.test).await.pop().unwrap();
    let page = site.get(&format!("/p/{token}")).await;
    assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("Confirm your consent"));
    assert!(page.body.contains("<div class=\"text\" lang=\"de\">"));
    assert!(page.body.contains(&text("newsletter", "de")));
}
