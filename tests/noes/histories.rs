//! Random histories of declarations, beside a plain reference of the law that is written apart.

use std::{cell::Cell, collections::BTreeMap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{contact, sees, yes};
use crate::{
    support::{
        app::TestApp,
        client::{Caller, Client},
        database::TestDatabase,
        in_full,
    },
    writes::{Staff, done},
};

/// Records there may be; the first two are of the same person.
const RECORDS: usize = 4;
/// Mailboxes, and numbers, there may be.
const ADDRESSES: usize = 3;
const NAMES: [&str; RECORDS] = ["Anna", "Anna", "Bert", "Cleo"];

/// What is advertised by, and for: a mailbox for the newsletter, a number for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Mail,
    Call,
}

const KINDS: [Kind; 2] = [Kind::Mail, Kind::Call];

impl Kind {
    fn purpose(self) -> (&'static str, &'static str) {
        match self {
            Kind::Mail => ("newsletter", "EMAIL"),
            Kind::Call => ("phone_marketing", "PHONE"),
        }
    }

    fn field(self) -> &'static str {
        match self {
            Kind::Mail => "email",
            Kind::Call => "phone",
        }
    }
}

/// What happens; times are seconds before it is told.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create { record: usize, addresses: [usize; 2], spelling: usize },
    Grant { record: usize, kind: Kind, back: i64 },
    Withdraw { record: usize, kind: Kind, back: i64 },
    Object { record: usize, back: i64 },
    NoByAddress { kind: Kind, address: usize, objects: bool, back: i64 },
    Change { record: usize, kind: Kind, address: usize, spelling: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (record, address, spelling) = (|| 0..RECORDS, || 0..ADDRESSES, || 0..3_usize);
    let kind = || prop_oneof![2 => Just(Kind::Mail), 1 => Just(Kind::Call)];
    let recent = || 0..12_i64;
    // A yes is told at once, or long after.
    let told = prop_oneof![0..2_i64, 0..60_i64];
    prop_oneof![
        3 => (record(), [address(), address()], spelling())
            .prop_map(|(record, addresses, spelling)| Step::Create { record, addresses, spelling }),
        5 => (record(), kind(), told).prop_map(|(record, kind, back)| Step::Grant { record, kind, back }),
        2 => (record(), kind(), recent()).prop_map(|(record, kind, back)| Step::Withdraw { record, kind, back }),
        2 => (record(), recent()).prop_map(|(record, back)| Step::Object { record, back }),
        3 => (kind(), address(), any::<bool>(), recent())
            .prop_map(|(kind, address, objects, back)| Step::NoByAddress { kind, address, objects, back }),
        2 => (record(), kind(), address(), spelling())
            .prop_map(|(record, kind, address, spelling)| Step::Change { record, kind, address, spelling }),
    ]
}

/// What is kept of a record for one kind of address in the reference.
#[derive(Clone, Copy, Debug)]
struct NewAddresses {
    address: usize,
    /// When it got its address in the place of another.
    moved: Option<DateTime<Utc>>,
    yes: Option<DateTime<Utc>>,
    withdrawn: Option<DateTime<Utc>>,
}

/// What is kept of a record in the reference.
#[derive(Clone, Copy, Debug)]
struct Kept {
    by: [NewAddresses; 2],
    objected: Option<DateTime<Utc>>,
}

impl Kept {
    fn of(&self, kind: Kind) -> &NewAddresses {
        &self.by[usize::from(kind == Kind::Call)]
    }

    fn of_mut(&mut self, kind: Kind) -> &mut NewAddresses {
        &mut self.by[usize::from(kind == Kind::Call)]
    }

    /// What the person says no to still: a withdrawal until a later yes, an objection until it is taken back.
    fn standing(&self, kind: Kind) -> impl Iterator<Item = DateTime<Utc>> {
        let NewAddresses { yes, withdrawn, .. } = *self.of(kind);
        let withdrawn = withdrawn.filter(|at| yes.is_none_or(|yes| *at >= yes));
        withdrawn.into_iter().chain(self.objected)
    }
}

/// The law: what a person declares is the record's own; a no is about the address as well, and each that the person gets while it stands, and
/// stands against whoever has it; an objection is about all of them; a yes is given for the address of then, and counts where it is later than
/// every no, for that record alone.
#[derive(Debug, Default)]
struct Law {
    records: BTreeMap<usize, Kept>,
    blocks: BTreeMap<(Kind, usize), DateTime<Utc>>,
}

impl Law {
    fn shows(&self, record: usize, kind: Kind) -> bool {
        let Some(kept) = self.records.get(&record) else { return false };
        let NewAddresses { address, moved, yes, withdrawn } = *kept.of(kind);
        let against = [moved, withdrawn, kept.objected, self.blocks.get(&(kind, address)).copied()];
        yes.is_some_and(|yes| against.into_iter().flatten().all(|no| yes > no))
    }

    fn withdraw(&mut self, record: usize, kind: Kind, at: DateTime<Utc>) {
        let Some(kept) = self.records.get_mut(&record) else { return };
        let of = kept.of_mut(kind);
        of.withdrawn = of.withdrawn.max(Some(at));
        let address = of.address;
        self.block(kind, address, at);
    }

    fn object(&mut self, record: usize, at: DateTime<Utc>) {
        let Some(kept) = self.records.get_mut(&record) else { return };
        kept.objected = kept.objected.max(Some(at));
        let kept = *kept;
        for kind in KINDS {
            self.block(kind, kept.of(kind).address, at);
        }
    }

    fn block(&mut self, kind: Kind, address: usize, at: DateTime<Utc>) {
        let since = self.blocks.entry((kind, address)).or_insert(at);
        *since = at.max(*since);
    }

    fn follow(&mut self, step: Step, at: DateTime<Utc>) {
        match step {
            Step::Create { record, addresses, .. } => {
                let by = addresses.map(|address| NewAddresses {
                    address,
                    moved: None,
                    yes: None,
                    withdrawn: None,
                });
                self.records.entry(record).or_insert(Kept { by, objected: None });
            }
            Step::Grant { record, kind, .. } => {
                if let Some(kept) = self.records.get_mut(&record) {
                    let of = kept.of_mut(kind);
                    of.yes = of.yes.max(Some(at));
                }
            }
            Step::Withdraw { record, kind, .. } => self.withdraw(record, kind, at),
            Step::Object { record, .. } => self.object(record, at),
            Step::NoByAddress { kind, address, objects, .. } => {
                self.block(kind, address, at);
                let holders = self.records.iter().filter(|(_, kept)| kept.of(kind).address == address);
                let holders: Vec<usize> = holders.map(|(record, _)| *record).collect();
                // Where the address is one person's, that person has spoken.
                if holders.iter().all(|record| NAMES[*record] == NAMES[holders[0]]) {
                    for record in holders {
                        if objects {
                            self.object(record, at);
                        } else {
                            self.withdraw(record, kind, at);
                        }
                    }
                }
            }
            Step::Change { record, kind, address, .. } => {
                let changed = self.records.get_mut(&record).filter(|kept| kept.of(kind).address != address);
                if let Some(kept) = changed {
                    let of = kept.of_mut(kind);
                    of.address = address;
                    of.moved = Some(at);
                    let standing: Vec<DateTime<Utc>> = kept.standing(kind).collect();
                    for no in standing {
                        self.block(kind, address, no);
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
    /// Who sends the newsletter, and who calls.
    readers: [Caller; 2],
    /// How often a record was shown, and was not though there was a yes: a run in which either never happens shows nothing.
    met: [Cell<u32>; 2],
}

impl Office {
    async fn new() -> Self {
        let test = TestApp::over(TestDatabase::sqlite().await).await;
        let (client, staff) = (Client::of(&test), Staff::of(&test).await);
        let readers =
            [test.caller("partner", "newsletter").await, test.caller("marketing", "phone_marketing").await];
        Self { test, client, staff, readers, met: Default::default() }
    }

    async fn follow(&self, step: Step, at: DateTime<Utc>, history: usize, ids: &mut BTreeMap<usize, String>) {
        let (client, staff) = (&self.client, &self.staff);
        let address = |kind: Kind, address: usize, spelling: usize| match (kind, spelling) {
            (Kind::Mail, 0) => format!("box{address}h{history}@gmail.com"),
            (Kind::Mail, 1) => format!("Box{address}.H{history}@Gmail.com"),
            (Kind::Mail, _) => format!("b.o.x{address}h{history}@googlemail.com"),
            (Kind::Call, 0) => format!("+49 30 8{history:05}{address}"),
            (Kind::Call, 1) => format!("030/8{history:05}{address}"),
            (Kind::Call, _) => format!("0049 (0)30 8{history:05}-{address}"),
        };
        let when = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        match step {
            Step::Create { record, addresses: [mailbox, number], spelling } => {
                if let std::collections::btree_map::Entry::Vacant(vacant) = ids.entry(record) {
                    let values = json!({ "givenName": NAMES[record], "familyName": format!("Muster {history}"),
                        "email": address(Kind::Mail, mailbox, spelling), "phone": address(Kind::Call, number, spelling) });
                    vacant.insert(contact(client, &staff.desk, values).await);
                }
            }
            Step::Grant { record, kind, .. } => {
                if let Some(id) = ids.get(&record) {
                    yes(client, &staff.consent, id, kind.purpose(), &when).await;
                }
            }
            Step::Withdraw { record, kind, .. } => {
                if let Some(id) = ids.get(&record) {
                    let input = json!({ "contactId": id, "purpose": kind.purpose().0, "declaredAt": when });
                    done(client, &staff.consent, "withdrawConsent", input, "__typename").await;
                }
            }
            Step::Object { record, .. } => {
                if let Some(id) = ids.get(&record) {
                    let input = json!({ "contactId": id, "purpose": "direct_marketing", "declaredAt": when });
                    done(client, &staff.consent, "recordObjection", input, "__typename").await;
                }
            }
            Step::NoByAddress { kind, address: at, objects, .. } => {
                let (name, purpose) = if objects {
                    ("recordObjection", "direct_marketing")
                } else {
                    ("withdrawConsent", kind.purpose().0)
                };
                let mut input = json!({ "purpose": purpose, "declaredAt": when });
                input[kind.field()] = address(kind, at, 0).into();
                done(client, &staff.consent, name, input, "__typename").await;
            }
            Step::Change { record, kind, address: at, spelling } => {
                if let Some(id) = ids.get(&record) {
                    let mut input = json!({ "contactId": id });
                    input[kind.field()] = address(kind, at, spelling).into();
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
            for (kind, reader) in KINDS.into_iter().zip(&self.readers) {
                let shown = sees(&self.client, reader, &contacts).await;
                let lawful: Vec<bool> = records.iter().map(|record| law.shows(*record, kind)).collect();
                for (record, shows) in records.iter().zip(&lawful) {
                    if law.records[record].of(kind).yes.is_some() {
                        let met = &self.met[usize::from(*shows)];
                        met.set(met.get() + 1);
                    }
                }
                prop_assert_eq!(shown, lawful, "{:?} after step {} of {:?}: {:?}", kind, number, steps, law);
            }
        }
        Ok(())
    }
}

#[test]
fn histories_of_declarations_are_as_the_law_has_them() {
    let runtime = Runtime::new().unwrap();
    let office = runtime.block_on(Office::new());
    let cases = if in_full() { 10_000 } else { 60 };
    let history = Cell::new(0);
    let met = || office.met.each_ref().map(Cell::get);
    // Chance decides how often somebody is shown, and how often a yes is not enough: as many again until both were seen.
    for _ in 0..10 {
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let result = runner.run(&prop::collection::vec(step(), 12), |steps| {
            history.set(history.get() + 1);
            runtime.block_on(office.run(&steps, history.get()))
        });
        if let Err(TestError::Fail(reason, steps)) = result {
            panic!("{reason}\n{steps:#?}");
        }
        result.unwrap();
        if met().iter().all(|met| *met > cases) {
            return;
        }
    }
    panic!("{:?}", met());
}
