//! The same for numbers and letter boxes: {door of the no} x {way of the record or of an older yes} x {whose record it is}.

use chrono::TimeDelta;
use entity::enums::StopKind;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use zweck::exchange::{
    exports::Format,
    imports::{self, ConsentImport, ContactImport, OptOut},
};

use super::{contact, sees, yes};
use crate::{
    exports::{export, own},
    imports_consents, imports_objections,
    support::{
        an_import,
        app::{TestApp, each},
        client::{Caller, Client},
        import, in_full,
    },
    writes::{Staff, done, mutate, refusal},
};

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Called by consent.
    Number,
    /// Written to without.
    LetterBox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    WithdrawId,
    WithdrawContact,
    WithdrawAddress,
    ObjectContact,
    ObjectContactToOne,
    ObjectContactByChannel,
    ObjectAddress,
    ObjectAddressToOne,
    ConsentFile,
    ObjectionFile,
    OptOutColumn,
    OptOutColumnOfChannel,
}

impl Kind {
    fn doors(self) -> &'static [Door] {
        match self {
            Kind::Number => &[
                Door::WithdrawId,
                Door::WithdrawContact,
                Door::WithdrawAddress,
                Door::ObjectContact,
                Door::ObjectContactToOne,
                Door::ObjectContactByChannel,
                Door::ObjectAddress,
                Door::ObjectAddressToOne,
                Door::ConsentFile,
                Door::ObjectionFile,
                Door::OptOutColumn,
                Door::OptOutColumnOfChannel,
            ],
            Kind::LetterBox => &[
                Door::ObjectContact,
                Door::ObjectContactToOne,
                Door::ObjectContactByChannel,
                Door::ObjectionFile,
                Door::OptOutColumn,
                Door::OptOutColumnOfChannel,
            ],
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Kind::Number => "phone_marketing",
            Kind::LetterBox => "direct_mail",
        }
    }

    fn channel(self) -> (&'static str, entity::enums::Channel) {
        match self {
            Kind::Number => ("PHONE", entity::enums::Channel::Phone),
            Kind::LetterBox => ("POST", entity::enums::Channel::Post),
        }
    }

    /// An address, as it is written in one way or another.
    fn address(self, number: usize, spelling: usize) -> Value {
        match (self, spelling % 4) {
            (Kind::Number, 0) => json!({ "phone": format!("+49 30 8{number:06}") }),
            (Kind::Number, 1) => json!({ "phone": format!("030/8{number:06}") }),
            (Kind::Number, 2) => json!({ "phone": format!("0049 (0)30 8{number:06}") }),
            (Kind::Number, _) => json!({ "phone": format!("(030) 8-{number:06}") }),
            (Kind::LetterBox, 0) => {
                json!({ "street": format!("Lindenstraße {number}"), "postalCode": "10969", "city": "Berlin" })
            }
            (Kind::LetterBox, 1) => {
                json!({ "street": format!("LINDENSTR. {number}"), "postalCode": "D-10969", "city": "BERLIN" })
            }
            (Kind::LetterBox, 2) => {
                json!({ "street": format!("{number} Lindenstrasse"), "postalCode": "10969",
                "city": "Berlin-Kreuzberg", "country": "Deutschland" })
            }
            (Kind::LetterBox, _) => json!({ "street": format!("Lindenstr. {number:03} (2. OG)"),
                "postalCode": "10 969", "city": "Bln" }),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Created,
    Imported,
    YesByFile,
    Corrected,
    PointAdded,
    MergedInto,
    MergedFrom,
    Restored,
}

const WAYS: [Way; 8] = [
    Way::Created,
    Way::Imported,
    Way::YesByFile,
    Way::Corrected,
    Way::PointAdded,
    Way::MergedInto,
    Way::MergedFrom,
    Way::Restored,
];

/// Whose record stands beside that of the person who says no, and whose comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Same,
    OtherRecord,
    /// Another person's at the same address; in one household where letters go there.
    OtherPerson,
    /// The same, written another way.
    Spelled(usize),
}

const WHOSE: [Whose; 6] = [
    Whose::Same,
    Whose::OtherRecord,
    Whose::OtherPerson,
    Whose::Spelled(1),
    Whose::Spelled(2),
    Whose::Spelled(3),
];

#[derive(Debug)]
struct Case {
    number: usize,
    kind: Kind,
    door: Door,
    way: Way,
    whose: Whose,
}

const OLDER: &str = "2026-10-01T10:00:00Z";
const OLD: &str = "2026-10-02T10:00:00Z";

fn with(values: &Value, more: &Value) -> Value {
    let mut all = values.clone();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

struct Office {
    test: TestApp,
    client: Client,
    staff: Staff,
    callers: [Caller; 2],
    exporter: Caller,
}

impl Office {
    async fn of(test: TestApp) -> Self {
        let (client, staff) = (Client::of(&test), Staff::of(&test).await);
        let callers = [
            test.caller("marketing", "phone_marketing").await,
            test.caller("marketing", "direct_mail").await,
        ];
        let exporter = test.caller("support", "customer_care").await;
        Self { test, client, staff, callers, exporter }
    }

    async fn seen(&self, kind: Kind, contacts: &[String]) -> Vec<bool> {
        sees(&self.client, &self.callers[usize::from(kind == Kind::LetterBox)], contacts).await
    }

    /// What lets a record be advertised to, where no no stands against it; the id of the consent.
    async fn open(&self, kind: Kind, contact: &str, at: &str) -> Option<String> {
        match kind {
            Kind::Number => {
                Some(yes(&self.client, &self.staff.consent, contact, (kind.purpose(), "PHONE"), at).await)
            }
            Kind::LetterBox => {
                let input = json!({ "contactId": contact, "purpose": kind.purpose(), "reference": "order" });
                let answer =
                    mutate(&self.client, &self.staff.desk, "recordGround", &input, "ground { id }").await;
                if answer.get("errors").is_some() {
                    assert!(matches!(
                        refusal(&answer, "recordGround").as_str(),
                        "BAD_USER_INPUT" | "CONFLICT"
                    ));
                }
                None
            }
        }
    }

    /// A record that is open, if it may be; the id of the consent.
    async fn record(&self, kind: Kind, names: [&str; 2], address: &Value) -> (String, Option<String>) {
        let names = json!({ "givenName": names[0], "familyName": names[1] });
        let made = contact(&self.client, &self.staff.desk, with(&names, address)).await;
        let consent = self.open(kind, &made, OLDER).await;
        (made, consent)
    }

    async fn contact_file(
        &self,
        names: [&str; 2],
        address: &Value,
        opt_out: Option<OptOut>,
        source: &str,
    ) -> String {
        let fields = ["phone", "street", "postalCode", "city", "country"];
        let map = [
            "givenName=first",
            "familyName=last",
            "phone=phone",
            "street=street",
            "postalCode=postalCode",
            "city=city",
            "country=country",
        ];
        let import_of = ContactImport {
            map: ContactImport::map_from(map).unwrap(),
            external_id: Some("id".to_owned()),
            opt_outs: opt_out.into_iter().collect(),
            source: source.to_owned(),
            purpose: "customer_care".to_owned(),
            ..an_import()
        };
        let cells: Vec<&str> =
            fields.iter().map(|field| address[*field].as_str().unwrap_or_default()).collect();
        let file = format!(
            "id,first,last,{},stop\n1,{},{},{},yes\n",
            fields.join(","),
            names[0],
            names[1],
            cells.join(",")
        );
        let report = import(&self.test.app, file.as_bytes(), &import_of).await.unwrap();
        assert_eq!(report.imported, 1, "{report}");
        use entity::provenance::{Column, Entity};
        let found = Entity::find().filter(Column::Source.eq(source)).one(&self.test.app.db.reader).await;
        found.unwrap().unwrap().contact_id.to_string()
    }

    async fn consent_file(&self, line: &str) {
        let file = format!("phone,purpose,channel,status,declaredAt,textVersion,language,proof\n{line}");
        let import = ConsentImport { source: Some("old list".to_owned()), ..imports_consents::import() };
        let report =
            imports::consents(&self.test.app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
        assert_eq!(report.rows, 1, "{report}");
    }

    /// The no.
    async fn no(&self, case: &Case, contact: &str, consent: Option<&str>, family: &str) {
        let (kind, desk) = (case.kind, &self.staff.consent);
        let (one, (channel, of)) = (kind.purpose(), kind.channel());
        let address = kind.address(case.number, 0);
        let withdraw = async |who: Value| {
            let input = with(&who, &json!({ "purpose": one }));
            done(&self.client, desk, "withdrawConsent", input, "__typename").await;
        };
        let object = async |who: Value, what: Value| {
            done(&self.client, desk, "recordObjection", with(&who, &what), "__typename").await;
        };
        let (all, to_one) = (json!({ "purpose": "direct_marketing" }), json!({ "purpose": one }));
        let who = json!({ "contactId": contact });
        match case.door {
            Door::WithdrawId => {
                let input = json!({ "id": consent.unwrap() });
                done(&self.client, desk, "withdrawConsent", input, "__typename").await;
            }
            Door::WithdrawContact => withdraw(who).await,
            Door::WithdrawAddress => withdraw(address).await,
            Door::ObjectContact => object(who, all).await,
            Door::ObjectContactToOne => object(who, to_one).await,
            Door::ObjectContactByChannel => object(who, with(&all, &json!({ "channel": channel }))).await,
            Door::ObjectAddress => object(address, all).await,
            Door::ObjectAddressToOne => object(address, to_one).await,
            Door::ConsentFile => {
                let at = self.test.app.now().to_rfc3339();
                let phone = address["phone"].as_str().unwrap();
                self.consent_file(&format!("{phone},{one},PHONE,WITHDRAWN,{at},,,\n")).await;
            }
            Door::ObjectionFile => {
                let cell = |field: &str| address[field].as_str().unwrap_or_default().to_owned();
                let file = match kind {
                    Kind::Number => format!("phone\n{}\n", cell("phone")),
                    Kind::LetterBox => format!(
                        "familyName,street,postalCode,city\n{family},{},{},{}\n",
                        cell("street"),
                        cell("postalCode"),
                        cell("city")
                    ),
                };
                let import = imports_objections::list();
                let app = &self.test.app;
                let report =
                    imports::objections(app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
                assert_eq!((report.rows, report.rejected), (1, 0), "{report}");
            }
            Door::OptOutColumn | Door::OptOutColumnOfChannel => {
                let channel = (case.door == Door::OptOutColumnOfChannel).then_some(of);
                let opt_out = OptOut { channel, column: "stop".to_owned(), optional: false };
                let source = format!("opt-outs {}", case.number);
                self.contact_file(["Anna", family], &address, Some(opt_out), &source).await;
            }
        }
    }

    /// Lets a record, or an older yes, come to the address; the contacts that have it then.
    async fn come(
        &self,
        case: &Case,
        names: [&str; 2],
        address: &Value,
        speaker: &str,
        before: &str,
    ) -> Vec<String> {
        let (kind, desk) = (case.kind, &self.staff.desk);
        let clean = kind.address(case.number + 500_000, 0);
        match case.way {
            Way::Created => vec![self.record(kind, names, address).await.0],
            Way::Imported => {
                let made = self.contact_file(names, address, None, &format!("list {}", case.number)).await;
                self.open(kind, &made, OLDER).await;
                vec![made]
            }
            Way::YesByFile if kind == Kind::Number => {
                let phone = address["phone"].as_str().unwrap();
                self.consent_file(&format!(
                    "{phone},phone_marketing,PHONE,GRANTED,{OLDER},2026-1,de,signed_paper\n"
                ))
                .await;
                vec![speaker.to_owned()]
            }
            // A ground once more.
            Way::YesByFile => {
                self.open(kind, speaker, OLD).await;
                vec![speaker.to_owned()]
            }
            Way::Corrected => {
                let (made, _) = self.record(kind, names, &clean).await;
                let input = with(&json!({ "id": made }), address);
                done(&self.client, desk, "updateContact", input, "contact { id }").await;
                self.open(kind, &made, OLD).await;
                vec![made]
            }
            Way::PointAdded => {
                let (made, _) = self.record(kind, names, &clean).await;
                let of = if kind == Kind::Number { "PHONE" } else { "POSTAL" };
                let input = with(&json!({ "contactId": made, "kind": of }), address);
                done(&self.client, desk, "addContactPoint", input, "contact { id }").await;
                self.open(kind, &made, OLD).await;
                vec![made]
            }
            Way::MergedInto | Way::MergedFrom => {
                let (made, _) = self.record(kind, names, &clean).await;
                let (other, _) = self.record(kind, names, address).await;
                let (stays, goes) =
                    if case.way == Way::MergedInto { (&made, &other) } else { (&other, &made) };
                let input = json!({ "id": stays, "duplicateId": goes });
                done(&self.client, desk, "mergeContacts", input, "contact { id }").await;
                self.open(kind, stays, OLD).await;
                vec![stays.clone()]
            }
            Way::Restored => {
                let report =
                    import(&self.test.app, before.as_bytes(), &own(imports::Format::Csv)).await.unwrap();
                assert_eq!(report.rejected, 0, "{report}");
                vec![speaker.to_owned()]
            }
        }
    }
}

/// Every combination; CI's share has each door twice, with each way and each relation among them.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::Number, Kind::LetterBox] {
        for (d, door) in kind.doors().iter().enumerate() {
            for (w, way) in WAYS.into_iter().enumerate() {
                for (r, whose) in WHOSE.into_iter().enumerate() {
                    let share = [0, 1]
                        .iter()
                        .any(|k| ((2 * d + 5 * k) % WAYS.len(), (d + 3 * k) % WHOSE.len()) == (w, r));
                    if in_full() || share {
                        cases.push(Case { number: cases.len() + 1, kind, door: *door, way, whose });
                    }
                }
            }
        }
        let of: Vec<&Case> = cases.iter().filter(|case| case.kind == kind).collect();
        assert!(WAYS.iter().all(|way| of.iter().any(|case| case.way == *way)), "{kind:?}");
        assert!(WHOSE.iter().all(|whose| of.iter().any(|case| case.whose == *whose)), "{kind:?}");
    }
    cases
}

async fn run(office: &Office, case: &Case) {
    let kind = case.kind;
    let family = format!("Muster{}", case.number);
    let stranger = if kind == Kind::Number { format!("Fremd{}", case.number) } else { family.clone() };
    let spelling = if let Whose::Spelled(spelling) = case.whose { spelling } else { 0 };
    let same_person = matches!(case.whose, Whose::Same | Whose::OtherRecord);
    let names = if same_person { ["Anna", family.as_str()] } else { ["Otto", stranger.as_str()] };
    let others = kind.address(case.number, spelling);
    let (speaker, consent) = office.record(kind, ["Anna", &family], &kind.address(case.number, 0)).await;
    let mut before = vec![speaker.clone()];
    if case.whose != Whose::Same {
        before.push(office.record(kind, names, &others).await.0);
    }
    assert_eq!(office.seen(kind, &before).await, vec![true; before.len()], "{case:?}: before");
    let exported = match case.way {
        Way::Restored => export(&office.test, &office.exporter, Format::Csv).await.unwrap().1,
        _ => String::new(),
    };
    office.test.clock.advance(TimeDelta::seconds(1));
    office.no(case, &speaker, consent.as_deref(), &family).await;
    assert_eq!(office.seen(kind, &before).await, vec![false; before.len()], "{case:?}: at once");
    office.test.clock.advance(TimeDelta::seconds(1));
    if !same_person {
        use entity::objection::{Column, Entity};
        let other: uuid::Uuid = before[1].parse().unwrap();
        let stops = Entity::find().filter(Column::ContactId.eq(other)).all(&office.test.app.db.reader).await;
        let kinds: Vec<StopKind> = stops.unwrap().into_iter().map(|stop| stop.kind).collect();
        // A file and an address may mean either of a household.
        let blocked = !kinds.is_empty() && kinds.iter().all(|kind| *kind == StopKind::Block);
        assert!(blocked, "{case:?}: another person's record shows {kinds:?}");
    }
    let came = office.come(case, names, &others, &speaker, &exported).await;
    let mut everybody = before.clone();
    everybody.extend(came.iter().filter(|contact| !before.contains(contact)).cloned());
    assert_eq!(office.seen(kind, &everybody).await, vec![false; everybody.len()], "{case:?}: {everybody:?}");
    if kind == Kind::Number {
        office.test.clock.advance(TimeDelta::seconds(1));
        let chosen = (case.number / 2) % everybody.len();
        office.open(kind, &everybody[chosen], &office.test.app.now().to_rfc3339()).await;
        let wanted: Vec<bool> = (0..everybody.len()).map(|at| at == chosen).collect();
        assert_eq!(office.seen(kind, &everybody).await, wanted, "{case:?}: a later yes of {chosen}");
    }
}

#[tokio::test]
async fn a_no_closes_numbers_and_letter_boxes_by_every_door_and_way() {
    let runs = each().await.into_iter().map(async |test| {
        let office = Office::of(test).await;
        for case in cases() {
            run(&office, &case).await;
        }
        let settled = zweck::domain::consents::reconcile(&office.test.app).await.unwrap();
        assert_eq!(settled, zweck::domain::consents::KeyRefreshReport::default());
    });
    futures_util::future::join_all(runs).await;
}
