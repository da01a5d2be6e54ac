//! {door of the no} x {way of the record or of an older yes} x {whose record it is}: none is advertised to.

use axum::{body::Body, http::Request};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use zweck::{
    domain::signups::{self, SignUp},
    exchange::imports::{self, ConsentImport, ContactImport, Reason},
};

use super::{contact, sees, yes};
use crate::{
    imports_consents,
    pages::{PagesState, sites},
    signups::{newsletter as asked, sign_up, tokens},
    support::{
        an_import,
        client::{Caller, Client},
        import, in_full,
    },
    writes::{Staff, done, mutate, refusal},
};

/// By what a person says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    WithdrawId,
    WithdrawContact,
    WithdrawEmail,
    ObjectContact(&'static str),
    ObjectEmail(&'static str),
    OneClick,
    /// A second time, after others at the mailbox said yes anew.
    OneClickAgain,
    /// The switch of the page of the mailbox; on the page of the record where there is one alone.
    Switch,
    SwitchNone,
    ButtonWithdraw,
    ButtonNone,
    File,
}

const DOORS: [Door; 14] = [
    Door::WithdrawId,
    Door::WithdrawContact,
    Door::WithdrawEmail,
    Door::ObjectContact("direct_marketing"),
    Door::ObjectContact("newsletter"),
    Door::ObjectEmail("direct_marketing"),
    Door::ObjectEmail("newsletter"),
    Door::OneClick,
    Door::OneClickAgain,
    Door::Switch,
    Door::SwitchNone,
    Door::ButtonWithdraw,
    Door::ButtonNone,
    Door::File,
];

impl Door {
    /// Whether all advertising is meant, and not the newsletter alone.
    fn closes_all(self) -> bool {
        matches!(
            self,
            Door::ObjectContact("direct_marketing")
                | Door::ObjectEmail("direct_marketing")
                | Door::ButtonNone
                | Door::SwitchNone
        )
    }
}

/// How a record, or an older yes, comes after the no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Created,
    Imported,
    YesByFile,
    Corrected,
    PointAdded,
    MergedInto,
    MergedFrom,
    Confirmed,
}

const WAYS: [Way; 8] = [
    Way::Created,
    Way::Imported,
    Way::YesByFile,
    Way::Corrected,
    Way::PointAdded,
    Way::MergedInto,
    Way::MergedFrom,
    Way::Confirmed,
];

/// Whose record stands beside that of the person who says no, and whose comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// There is that of the person alone.
    Same,
    /// Another of the same person.
    OtherRecord,
    /// Another person's with the same mailbox.
    OtherPerson,
    /// Another person's, who writes the mailbox another way.
    Case,
    Gmail,
    Idn,
}

const WHOSE: [Whose; 6] =
    [Whose::Same, Whose::OtherRecord, Whose::OtherPerson, Whose::Case, Whose::Gmail, Whose::Idn];

impl Whose {
    /// The mailbox as the person writes it who says no, and as the other record has it.
    fn mailbox(self, number: usize) -> (String, String) {
        match self {
            Whose::Case => (format!("name{number}@example.org"), format!("Name{number}@Example.ORG")),
            Whose::Gmail => (format!("firstlast{number}@gmail.com"), format!("First.Last{number}@gmail.com")),
            Whose::Idn => (format!("n{number}@bücher.example"), format!("n{number}@xn--bcher-kva.example")),
            _ => (format!("name{number}@example.org"), format!("name{number}@example.org")),
        }
    }

    fn is_other_person(self) -> bool {
        !matches!(self, Whose::Same | Whose::OtherRecord)
    }
}

const OLDER: &str = "2026-10-01T10:00:00Z";

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Who reads and writes in one database.
struct Office<'s> {
    site: &'s PagesState,
    client: Client,
    staff: Staff,
    /// Sends the newsletter.
    partner: Caller,
    /// Mails to customers without their consent.
    marketing: Caller,
}

impl<'s> Office<'s> {
    async fn of(site: &'s PagesState) -> Self {
        Self {
            site,
            client: site.client(),
            staff: Staff::of(&site.test).await,
            partner: site.test.caller("partner", "newsletter").await,
            marketing: site.test.caller("marketing", "existing_customer_mail").await,
        }
    }

    /// A record of a customer, which may be mailed to; `None` where the list stands against it.
    async fn customer(&self, names: [&str; 2], email: &str) -> Option<String> {
        let input = json!({ "givenName": names[0], "familyName": names[1], "email": email, "source": { "name": "shop" },
            "ground": { "purpose": "existing_customer_mail", "reference": "order" } });
        let answer = mutate(&self.client, &self.staff.desk, "createContact", &input, "contact { id }").await;
        if answer.get("errors").is_some() {
            assert_eq!(refusal(&answer, "createContact"), "BAD_USER_INPUT");
            assert_eq!(answer["errors"][0]["extensions"]["inputPath"], "input.email");
            return None;
        }
        Some(answer["data"]["createContact"]["contact"]["id"].as_str().unwrap().to_owned())
    }

    /// A record without a ground.
    async fn record(&self, names: [&str; 2], email: &str) -> String {
        let values = json!({ "givenName": names[0], "familyName": names[1], "email": email });
        contact(&self.client, &self.staff.desk, values).await
    }

    /// A yes to the newsletter; the id of the consent.
    async fn yes(&self, contact: &str, at: &str) -> String {
        yes(&self.client, &self.staff.consent, contact, ("newsletter", "EMAIL"), at).await
    }

    /// Whether each is seen by who sends the newsletter, and by who mails to customers.
    async fn seen(&self, contacts: &[String]) -> Vec<(bool, bool)> {
        let news = sees(&self.client, &self.partner, contacts).await;
        news.into_iter().zip(sees(&self.client, &self.marketing, contacts).await).collect()
    }

    /// What is kept of a contact, and the purposes of its blocks.
    async fn kept(&self, contact: &str) -> (Value, Vec<String>) {
        let query = format!(
            "{{ contact(id: \"{contact}\") {{ givenName familyName email version \
             consents(first: 9) {{ nodes {{ id status declaredAt grantedAt withdrawnAt events {{ kind declaredAt }} }} }} \
             objections {{ id }} blocks {{ kind purpose {{ code }} channel endedAt }} }} }}"
        );
        let mut kept = self.client.data(&self.staff.desk, &query).await["contact"].take();
        let blocks = kept.as_object_mut().unwrap().remove("blocks").unwrap();
        let told = |block: &Value| {
            assert_eq!(
                (&block["kind"], &block["channel"], &block["endedAt"]),
                (&json!("BLOCK"), &json!("EMAIL"), &Value::Null),
                "{block}"
            );
            block["purpose"]["code"].as_str().unwrap().to_owned()
        };
        let mut codes: Vec<String> = blocks.as_array().unwrap().iter().map(told).collect();
        codes.sort();
        (kept, codes)
    }

    async fn preference(&self, contact: &str) -> String {
        let query = format!("{{ contact(id: \"{contact}\") {{ preferenceUrl }} }}");
        let url = self.client.data(&self.partner, &query).await["contact"]["preferenceUrl"].clone();
        url.as_str().unwrap().strip_prefix("https://crm.example").unwrap().to_owned()
    }

    /// The no.
    async fn no(&self, door: Door, contact: &str, consent: &str, email: &str) {
        let (client, caller) = (&self.client, &self.staff.consent);
        let withdraw = async |input| {
            done(client, caller, "withdrawConsent", input, "consent { id }").await;
        };
        let object = async |input| {
            done(client, caller, "recordObjection", input, "objection { id }").await;
        };
        match door {
            Door::WithdrawId => withdraw(json!({ "consentId": consent })).await,
            Door::WithdrawContact => {
                withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
            }
            Door::WithdrawEmail => withdraw(json!({ "email": email, "purpose": "newsletter" })).await,
            Door::ObjectContact(purpose) => object(json!({ "contactId": contact, "purpose": purpose })).await,
            Door::ObjectEmail(purpose) => object(json!({ "email": email, "purpose": purpose })).await,
            Door::OneClick => self.click(&self.preference(contact).await).await,
            // The link of the first mail, which nobody is given any more.
            Door::OneClickAgain => {
                let token = self.site.preference(contact.parse().unwrap(), "newsletter", email).await;
                self.click(&format!("/p/{token}")).await;
            }
            Door::Switch | Door::SwitchNone => {
                let path = format!("/p/{}", self.site.fresh(contact.parse().unwrap()).await);
                let page = self.site.get(&path).await;
                let alone = !page.body.contains("to this address");
                let (form, done) = match (door == Door::SwitchNone, alone) {
                    (true, true) => ([("purpose", "direct_marketing"), ("action", "none")], "?done=none"),
                    (true, false) => ([("purpose", "direct_marketing"), ("action", "none")], "?done=stopped"),
                    (false, true) => ([("purpose", "newsletter"), ("action", "withdraw")], "?done=withdrawn"),
                    (false, false) => ([("purpose", "newsletter"), ("action", "stop")], "?done=stopped"),
                };
                let reply = self.site.post(&path, &form).await;
                assert_eq!((reply.status, reply.location()), (303, done));
            }
            Door::ButtonWithdraw | Door::ButtonNone => {
                let all = door == Door::ButtonNone;
                let form = if all {
                    [("purpose", "direct_marketing"), ("action", "none")]
                } else {
                    [("purpose", "newsletter"), ("action", "withdraw")]
                };
                let reply = self.site.post(&self.preference(contact).await, &form).await;
                assert_eq!(
                    (reply.status, reply.location()),
                    (303, if all { "?done=none" } else { "?done=withdrawn" })
                );
            }
            Door::File => {
                let at = text(self.site.test.app.now());
                self.consent_file(&format!("{email},newsletter,EMAIL,WITHDRAWN,{at},,,\n")).await;
            }
        }
    }

    async fn click(&self, path: &str) {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let reply = self.site.send(request.body(Body::from("List-Unsubscribe=One-Click")).unwrap()).await;
        assert_eq!(reply.status, 200);
    }

    /// The first of two clicks of the first of these; the others say yes anew after it.
    async fn click_before(&self, contacts: &[String]) {
        let clock = &self.site.test.clock;
        clock.advance(TimeDelta::seconds(1));
        self.no(Door::OneClick, &contacts[0], "", "").await;
        clock.advance(TimeDelta::seconds(1));
        for contact in &contacts[1..] {
            self.yes(contact, &text(self.site.test.app.now())).await;
        }
        let news: Vec<bool> = self.seen(contacts).await.into_iter().map(|(news, _)| news).collect();
        let wanted: Vec<bool> = (0..contacts.len()).map(|at| at > 0).collect();
        assert_eq!(news, wanted, "after the first click");
    }

    async fn consent_file(&self, line: &str) {
        let file = format!("email,purpose,channel,status,declaredAt,textVersion,language,proof\n{line}");
        let import = ConsentImport { source: Some("old list".to_owned()), ..imports_consents::import() };
        let report = imports::consents(&self.site.test.app, || Ok(file.as_bytes()), &import, |_| Ok(()))
            .await
            .unwrap();
        assert_eq!(report.rows, 1, "{report}");
    }

    /// A file of one contact; its id, or `None` where the list stands against it.
    async fn contact_file(&self, names: [&str; 2], email: &str, purpose: &str) -> Option<String> {
        let import_of = ContactImport {
            map: ContactImport::map_from(["givenName=first", "familyName=last", "email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            source: format!("list {email} {purpose}"),
            purpose: purpose.to_owned(),
            ground: "order".to_owned(),
            ..an_import()
        };
        let file = format!("id,first,last,mail\n1,{},{},{email}\n", names[0], names[1]);
        let app = &self.site.test.app;
        let report = import(app, file.as_bytes(), &import_of).await.unwrap();
        if report.rejected == 1 {
            assert_eq!(report.told(), [(2, None, Reason::Suppressed)]);
            return None;
        }
        assert_eq!((report.imported, report.problems.len()), (1, 0), "{report}");
        Some(self.imported(&import_of.source).await)
    }

    async fn imported(&self, source: &str) -> String {
        use entity::provenance::{Column, Entity};
        use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
        let found = Entity::find().filter(Column::Source.eq(source));
        found.one(&self.site.test.app.db.reader).await.unwrap().unwrap().contact_id.to_string()
    }

    /// Lets a record, or an older yes, come to `email`; the contacts that have it then.
    async fn come(
        &self,
        case: &Case,
        names: [&str; 2],
        email: &str,
        speaker: &str,
        link: Option<&str>,
    ) -> Vec<String> {
        let (client, desk) = (&self.client, &self.staff.desk);
        let all = case.door.closes_all();
        let clean = format!("clean{}@example.com", case.number);
        match case.way {
            Way::Created => {
                let customer = self.customer(names, email).await;
                assert_eq!(customer.is_none(), all, "{case:?}");
                let plain = self.record(names, email).await;
                let made: Vec<String> = customer.into_iter().chain([plain]).collect();
                for contact in &made {
                    self.yes(contact, OLDER).await;
                }
                made
            }
            Way::Imported => {
                let customer = self.contact_file(names, email, "existing_customer_mail").await;
                assert_eq!(customer.is_none(), all, "{case:?}");
                let plain = self.contact_file(names, email, "customer_care").await;
                let made: Vec<String> = customer.into_iter().chain(plain).collect();
                for contact in &made {
                    self.yes(contact, OLDER).await;
                }
                made
            }
            Way::YesByFile => {
                let line = format!("{email},newsletter,EMAIL,GRANTED,{OLDER},2026-1,de,signed_paper\n");
                self.consent_file(&line).await;
                vec![speaker.to_owned()]
            }
            Way::Corrected => {
                let contact = self.customer(names, &clean).await.unwrap();
                self.yes(&contact, OLDER).await;
                let input = json!({ "contactId": contact, "email": email });
                done(client, desk, "updateContact", input, "contact { id }").await;
                self.yes(&contact, "2026-10-02T10:00:00Z").await;
                vec![contact]
            }
            Way::PointAdded => {
                let contact = self.customer(names, &clean).await.unwrap();
                self.yes(&contact, OLDER).await;
                let input = json!({ "contactId": contact, "kind": "EMAIL", "email": email });
                done(client, desk, "addContactPoint", input, "contact { id }").await;
                self.yes(&contact, "2026-10-02T10:00:00Z").await;
                vec![contact]
            }
            Way::MergedInto | Way::MergedFrom => {
                let contact = self.customer(names, &clean).await.unwrap();
                self.yes(&contact, OLDER).await;
                let other = self.record(names, email).await;
                self.yes(&other, OLDER).await;
                let (stays, goes) =
                    if case.way == Way::MergedInto { (&contact, &other) } else { (&other, &contact) };
                let input = json!({ "contactId": stays, "duplicateId": goes });
                done(client, desk, "mergeContacts", input, "contact { id }").await;
                self.yes(stays, "2026-10-02T10:00:00Z").await;
                vec![stays.clone()]
            }
            Way::Confirmed => {
                let confirmed = signups::confirm(&self.site.test.app, link.unwrap(), "r").await.unwrap();
                assert_eq!(confirmed, None, "{case:?}");
                vec![]
            }
        }
    }
}

#[derive(Debug)]
struct Case {
    number: usize,
    door: Door,
    way: Way,
    whose: Whose,
}

/// Every combination; CI's share has each door and each way with each relation.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (d, door) in DOORS.into_iter().enumerate() {
        for (w, way) in WAYS.into_iter().enumerate() {
            for (r, whose) in WHOSE.into_iter().enumerate() {
                if in_full() || (d + r) % WAYS.len() == w {
                    cases.push(Case { number: cases.len(), door, way, whose });
                }
            }
        }
    }
    for whose in WHOSE {
        let of: Vec<&Case> = cases.iter().filter(|case| case.whose == whose).collect();
        assert!(DOORS.iter().all(|door| of.iter().any(|case| case.door == *door)), "{whose:?}");
        assert!(WAYS.iter().all(|way| of.iter().any(|case| case.way == *way)), "{whose:?}");
    }
    cases
}

async fn run(office: &Office<'_>, case: &Case) {
    let test = &office.site.test;
    let (own, others) = case.whose.mailbox(case.number);
    let (family, stranger) = (format!("Muster{}", case.number), format!("Fremd{}", case.number));
    let person = ["Anna", family.as_str()];
    let names = if case.whose.is_other_person() { ["Otto", stranger.as_str()] } else { person };
    let speaker = office.customer(person, &own).await.unwrap();
    let mut link = None;
    if case.way == Way::Confirmed {
        let new = SignUp {
            given_name: Some(names[0].to_owned()),
            family_name: Some(names[1].to_owned()),
            ..asked(&others, test.app.now())
        };
        sign_up(test, &new).await.unwrap();
        link = tokens(test).await.pop();
    }
    let consent = office.yes(&speaker, OLDER).await;
    let mut before = vec![speaker.clone()];
    if case.whose != Whose::Same {
        let other = office.customer(names, &others).await.unwrap();
        office.yes(&other, OLDER).await;
        before.push(other);
    }
    assert_eq!(office.seen(&before).await, vec![(true, true); before.len()], "{case:?}: before");
    let again = case.door == Door::OneClickAgain;
    if again {
        office.click_before(&before).await;
    }
    let kept = office.kept(before.last().unwrap()).await;
    assert!(again || kept.1.is_empty());
    test.clock.advance(TimeDelta::seconds(1));
    office.no(case.door, &speaker, &consent, &own).await;
    let all = case.door.closes_all();
    assert_eq!(office.seen(&before).await, vec![(false, !all); before.len()], "{case:?}: at once");
    test.clock.advance(TimeDelta::seconds(1));
    // A late word of an earlier yes.
    office.yes(&speaker, "2026-10-03T10:00:00Z").await;
    if case.whose.is_other_person() {
        let (now, blocks) = office.kept(&before[1]).await;
        assert_eq!(now, kept.0, "{case:?}: another person's record");
        assert_eq!(now["objections"], json!([]));
        assert_eq!(now["consents"]["nodes"][0]["status"], "GRANTED");
        let code = if all { "direct_marketing" } else { "newsletter" };
        assert!(blocks.iter().any(|block| block == code), "{case:?}: {blocks:?}");
    }
    let came = office.come(case, names, &others, &speaker, link.as_deref()).await;
    let mut everybody = before.clone();
    everybody.extend(came.iter().filter(|contact| !before.contains(contact)).cloned());
    let seen = office.seen(&everybody).await;
    for (contact, (news, mail)) in everybody.iter().zip(&seen) {
        assert!(!news, "{case:?}: {contact} of {everybody:?} is shown for the newsletter");
        assert!(!(all && *mail), "{case:?}: {contact} of {everybody:?} is shown for mails to customers");
    }
    // A later yes opens one record: each in turn, in a case of its own.
    test.clock.advance(TimeDelta::seconds(1));
    let chosen = (case.number / 2) % everybody.len();
    office.yes(&everybody[chosen], &text(test.app.now())).await;
    let news: Vec<bool> = office.seen(&everybody).await.into_iter().map(|(news, _)| news).collect();
    let wanted: Vec<bool> = (0..everybody.len()).map(|at| at == chosen).collect();
    assert_eq!(news, wanted, "{case:?}: a later yes of {chosen}");
}

#[tokio::test]
async fn a_no_holds_for_every_record_by_every_door_and_way() {
    let sites = sites().await;
    let runs = sites.iter().map(async |site| {
        let office = Office::of(site).await;
        for case in cases() {
            run(&office, &case).await;
        }
        let app = &site.test.app;
        assert_eq!(
            zweck::domain::consents::reconcile(app).await.unwrap(),
            zweck::domain::consents::KeyRefreshReport::default()
        );
    });
    futures_util::future::join_all(runs).await;
}
