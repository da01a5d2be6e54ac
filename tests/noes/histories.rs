//! Random histories of declarations, beside a plain reference of the law that is written apart.

use std::{cell::Cell, collections::BTreeMap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{contact, in_full, sees, yes};
use crate::{
    support::{
        app::TestApp,
        client::{Caller, Client},
        database::TestDatabase,
    },
    writes::{Staff, done},
};

/// Records there may be; the first two are of the same person.
const RECORDS: usize = 4;
const MAILBOXES: usize = 3;
const NAMES: [&str; RECORDS] = ["Anna", "Anna", "Bert", "Cleo"];

/// What happens; times are seconds before it is told.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create { record: usize, mailbox: usize, spelling: usize },
    Grant { record: usize, back: i64 },
    Withdraw { record: usize, back: i64 },
    Object { record: usize, back: i64 },
    NoByAddress { mailbox: usize, objects: bool, back: i64 },
    Change { record: usize, mailbox: usize, spelling: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (record, mailbox, spelling, back) = (0..RECORDS, 0..MAILBOXES, 0..3_usize, 0..60_i64);
    let recent = 0..12_i64;
    prop_oneof![
        3 => (record.clone(), mailbox.clone(), spelling.clone())
            .prop_map(|(record, mailbox, spelling)| Step::Create { record, mailbox, spelling }),
        4 => (record.clone(), back.clone()).prop_map(|(record, back)| Step::Grant { record, back }),
        2 => (record.clone(), recent.clone()).prop_map(|(record, back)| Step::Withdraw { record, back }),
        2 => (record.clone(), recent.clone()).prop_map(|(record, back)| Step::Object { record, back }),
        3 => (mailbox.clone(), any::<bool>(), recent)
            .prop_map(|(mailbox, objects, back)| Step::NoByAddress { mailbox, objects, back }),
        1 => (record, mailbox, spelling)
            .prop_map(|(record, mailbox, spelling)| Step::Change { record, mailbox, spelling }),
    ]
}

/// What is kept of a record in the reference.
#[derive(Clone, Copy, Debug)]
struct Kept {
    mailbox: usize,
    /// When it got its mailbox in the place of another.
    moved: Option<DateTime<Utc>>,
    yes: Option<DateTime<Utc>>,
    withdrawn: Option<DateTime<Utc>>,
    objected: Option<DateTime<Utc>>,
}

impl Kept {
    /// What the person says no to still: a withdrawal until a later yes, an objection until it is taken back.
    fn standing(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let withdrawn = self.withdrawn.filter(|at| self.yes.is_none_or(|yes| *at >= yes));
        withdrawn.into_iter().chain(self.objected)
    }
}

/// The law: what a person declares is the record's own; a no is about the mailbox as well, and each that the person gets while it stands, and
/// stands against whoever has it; a yes is given for the mailbox of then, and counts where it is later than every no, for that record alone.
#[derive(Debug, Default)]
struct Law {
    records: BTreeMap<usize, Kept>,
    blocks: BTreeMap<usize, DateTime<Utc>>,
}

impl Law {
    fn shows(&self, record: usize) -> bool {
        let Some(kept) = self.records.get(&record) else { return false };
        let against = [kept.moved, kept.withdrawn, kept.objected, self.blocks.get(&kept.mailbox).copied()];
        kept.yes.is_some_and(|yes| against.into_iter().flatten().all(|no| yes > no))
    }

    fn no(&mut self, record: usize, objects: bool, at: DateTime<Utc>) {
        let Some(kept) = self.records.get_mut(&record) else { return };
        let no = if objects { &mut kept.objected } else { &mut kept.withdrawn };
        *no = (*no).max(Some(at));
        let mailbox = kept.mailbox;
        self.block(mailbox, at);
    }

    fn block(&mut self, mailbox: usize, at: DateTime<Utc>) {
        let since = self.blocks.entry(mailbox).or_insert(at);
        *since = at.max(*since);
    }

    fn follow(&mut self, step: Step, at: DateTime<Utc>) {
        match step {
            Step::Create { record, mailbox, .. } => {
                let new = Kept { mailbox, moved: None, yes: None, withdrawn: None, objected: None };
                self.records.entry(record).or_insert(new);
            }
            Step::Grant { record, .. } => {
                if let Some(kept) = self.records.get_mut(&record) {
                    kept.yes = kept.yes.max(Some(at));
                }
            }
            Step::Withdraw { record, .. } => self.no(record, false, at),
            Step::Object { record, .. } => self.no(record, true, at),
            Step::NoByAddress { mailbox, objects, .. } => {
                self.block(mailbox, at);
                let holders = self.records.iter().filter(|(_, kept)| kept.mailbox == mailbox);
                let holders: Vec<usize> = holders.map(|(record, _)| *record).collect();
                // Where the mailbox is one person's, that person has spoken.
                if holders.iter().all(|record| NAMES[*record] == NAMES[holders[0]]) {
                    for record in holders {
                        self.no(record, objects, at);
                    }
                }
            }
            Step::Change { record, mailbox, .. } => {
                if let Some(kept) = self.records.get_mut(&record).filter(|kept| kept.mailbox != mailbox) {
                    kept.mailbox = mailbox;
                    kept.moved = Some(at);
                    let standing: Vec<DateTime<Utc>> = kept.standing().collect();
                    for no in standing {
                        self.block(mailbox, no);
                    }
                }
            }
        }
    }
}

/// The product, and who works with it.
struct Office {
    test: TestApp,
    client: Client,
    staff: Staff,
    partner: Caller,
    /// How often a record was shown, and was not though there was a yes: a run in which either never happens shows nothing.
    met: [Cell<u32>; 2],
}

impl Office {
    async fn new() -> Self {
        let test = TestApp::over(TestDatabase::sqlite().await).await;
        let (client, staff) = (Client::of(&test), Staff::of(&test).await);
        let partner = test.caller("partner", "newsletter").await;
        Self { test, client, staff, partner, met: Default::default() }
    }

    async fn follow(&self, step: Step, at: DateTime<Utc>, history: usize, ids: &mut BTreeMap<usize, String>) {
        let (client, staff) = (&self.client, &self.staff);
        let address = |mailbox: usize, spelling: usize| match spelling {
            0 => format!("box{mailbox}h{history}@gmail.com"),
            1 => format!("Box{mailbox}.H{history}@Gmail.com"),
            _ => format!("b.o.x{mailbox}h{history}@googlemail.com"),
        };
        let when = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        match step {
            Step::Create { record, mailbox, spelling } => {
                if let std::collections::btree_map::Entry::Vacant(vacant) = ids.entry(record) {
                    let values = json!({ "givenName": NAMES[record], "familyName": format!("Muster {history}"), "email": address(mailbox, spelling) });
                    vacant.insert(contact(client, &staff.desk, values).await);
                }
            }
            Step::Grant { record, .. } => {
                if let Some(id) = ids.get(&record) {
                    yes(client, &staff.consent, id, ("newsletter", "EMAIL"), &when).await;
                }
            }
            Step::Withdraw { record, .. } => {
                if let Some(id) = ids.get(&record) {
                    let input = json!({ "contactId": id, "purpose": "newsletter", "declaredAt": when });
                    done(client, &staff.consent, "withdrawConsent", input, "__typename").await;
                }
            }
            Step::Object { record, .. } => {
                if let Some(id) = ids.get(&record) {
                    let input = json!({ "contactId": id, "purpose": "direct_marketing", "declaredAt": when });
                    done(client, &staff.consent, "recordObjection", input, "__typename").await;
                }
            }
            Step::NoByAddress { mailbox, objects, .. } => {
                let (name, purpose) = if objects {
                    ("recordObjection", "direct_marketing")
                } else {
                    ("withdrawConsent", "newsletter")
                };
                let input = json!({ "email": address(mailbox, 0), "purpose": purpose, "declaredAt": when });
                done(client, &staff.consent, name, input, "__typename").await;
            }
            Step::Change { record, mailbox, spelling } => {
                if let Some(id) = ids.get(&record) {
                    let input = json!({ "contactId": id, "email": address(mailbox, spelling) });
                    done(client, &staff.desk, "updateContact", input, "__typename").await;
                }
            }
        }
    }

    /// Follows a history; says where the product is not as the law.
    async fn run(&self, steps: &[Step], history: usize) -> Result<(), TestCaseError> {
        let (mut law, mut ids) = (Law::default(), BTreeMap::new());
        for (number, step) in steps.iter().enumerate() {
            self.test.clock.advance(TimeDelta::seconds(1));
            let now = self.test.app.now();
            let back = match step {
                Step::Create { .. } | Step::Change { .. } => None,
                Step::Grant { back, .. }
                | Step::Withdraw { back, .. }
                | Step::Object { back, .. }
                | Step::NoByAddress { back, .. } => Some(*back),
            };
            // No two instants are the same.
            let before =
                |back| TimeDelta::seconds(back) + TimeDelta::milliseconds(1 + i64::try_from(number).unwrap());
            let at = back.map_or(now, |back| now - before(back));
            law.follow(*step, at);
            self.follow(*step, at, history, &mut ids).await;
            let (records, contacts): (Vec<usize>, Vec<String>) = ids.clone().into_iter().unzip();
            if contacts.is_empty() {
                continue;
            }
            let shown = sees(&self.client, &self.partner, &contacts).await;
            let lawful: Vec<bool> = records.iter().map(|record| law.shows(*record)).collect();
            for (record, shows) in records.iter().zip(&lawful) {
                if law.records[record].yes.is_some() {
                    let met = &self.met[usize::from(*shows)];
                    met.set(met.get() + 1);
                }
            }
            prop_assert_eq!(shown, lawful, "step {} of {:?}: {:?}", number, steps, law);
        }
        Ok(())
    }
}

#[test]
fn histories_of_declarations_are_as_the_law_has_them() {
    let runtime = Runtime::new().unwrap();
    let office = runtime.block_on(Office::new());
    let cases = if in_full() { 10_000 } else { 60 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let history = Cell::new(0);
    let result = runner.run(&prop::collection::vec(step(), 12), |steps| {
        history.set(history.get() + 1);
        runtime.block_on(office.run(&steps, history.get()))
    });
    if let Err(TestError::Fail(reason, steps)) = result {
        panic!("{reason}\n{steps:#?}");
    }
    result.unwrap();
    let met = office.met.each_ref().map(Cell::get);
    assert!(met.iter().all(|met| *met > cases), "{met:?}");
}
