//! Any order of consent events, late and repeated ones included, makes the state that a plain reference says.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent_event::Model,
    enums::{ConsentEventKind as Kind, ConsentStatus as Status},
};
use proptest::{prelude::*, test_runner::TestRunner};
use uuid::Uuid;
use zweck::declarations::{project, status_at};

use crate::support::app::start;

fn at(hours: i64) -> DateTime<Utc> {
    start() + TimeDelta::hours(hours)
}

/// An event of the hour `declared`, if that is known, recorded in the hour `recorded`.
fn event(number: u128, kind: Kind, declared: Option<i64>, recorded: i64, expires: Option<i64>) -> Model {
    Model {
        id: Uuid::from_u128(number),
        consent_id: Uuid::nil(),
        kind,
        declared_at: declared.map(at),
        recorded_at: at(recorded),
        source: None,
        actor: "test".to_owned(),
        proof: None,
        consent_text_id: None,
        expires_at: expires.map(at),
        address: None,
        evidence: None,
        review_due_at: None,
    }
}

fn is_grant(kind: Kind) -> bool {
    matches!(kind, Kind::Granted | Kind::Renewed | Kind::Confirmed)
}

/// When an event counts: an unknown time is the earliest for what permits, and the time of recording for what forbids.
fn time(event: &Model) -> DateTime<Utc> {
    let permits = is_grant(event.kind) || event.kind == Kind::Requested;
    event.declared_at.unwrap_or(if permits { DateTime::<Utc>::MIN_UTC } else { event.recorded_at })
}

/// The status as the law's rules say it, told from the question "who is to be believed?" and not by going through events.
fn reference(events: &[Model]) -> Status {
    let latest = |of: &dyn Fn(Kind) -> bool| events.iter().filter(|e| of(e.kind)).map(time).max();
    let withdrawn = latest(&|kind| kind == Kind::Withdrawn);
    let refused = latest(&|kind| kind == Kind::Refused);
    let granted = latest(&is_grant);
    let ended_by_person = withdrawn.max(refused);
    let asked = latest(&|kind| kind == Kind::Requested);
    // What opens the present span: the latest of a grant and a question, where no word of the person ends it.
    let person = if granted > ended_by_person { Some(Status::Granted) } else { None };
    let (status, since) = match (person, ended_by_person, asked) {
        (Some(_), ..) => (Status::Granted, granted),
        // At the same instant the withdrawal is to be believed, and what is asked later opens anew.
        (None, Some(ended), asked) if asked.is_none_or(|asked| asked <= ended) => {
            let status = if withdrawn >= refused { Status::Withdrawn } else { Status::Refused };
            return status;
        }
        (None, _, asked) => (Status::Pending, asked),
    };
    // The first end by itself after that closes it, until it is asked for again.
    let own_end = |e: &&Model| matches!(e.kind, Kind::Expired | Kind::Invalidated);
    let mut ends: Vec<(DateTime<Utc>, Status)> = events
        .iter()
        .filter(own_end)
        .filter(|e| since.is_none_or(|since| time(e) >= since))
        .map(|e| (time(e), if e.kind == Kind::Expired { Status::Expired } else { Status::Invalidated }))
        .collect();
    ends.sort_by_key(|(at, status)| (*at, *status == Status::Invalidated));
    let Some((ended, how)) = ends.first().copied() else { return status };
    match asked {
        Some(asked) if status == Status::Granted && asked > ended => {
            // Asked again after the end: pending, until that in turn ends by itself.
            let after = ends.iter().find(|(at, _)| *at >= asked);
            after.map_or(Status::Pending, |(_, status)| *status)
        }
        _ => how,
    }
}

#[test]
fn every_order_of_events_makes_the_state_of_the_reference() {
    let kinds = [
        Kind::Requested,
        Kind::Granted,
        Kind::Confirmed,
        Kind::Refused,
        Kind::Withdrawn,
        Kind::Expired,
        Kind::Invalidated,
        Kind::Renewed,
    ];
    let one = (
        proptest::sample::select(kinds.to_vec()),
        proptest::option::weighted(0.85, 0..12i64),
        0..12i64,
        proptest::option::weighted(0.2, 6..20i64),
    );
    let events = proptest::collection::vec(one, 0..9);
    let orders = (events, any::<u64>(), proptest::collection::vec(any::<prop::sample::Index>(), 0..3));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() });
    runner
        .run(&orders, |(drawn, seed, repeats)| {
            let mut events: Vec<Model> = (1..)
                .zip(&drawn)
                .map(|(number, (kind, declared, recorded, expires))| {
                    // Nothing is declared after it was recorded.
                    let declared = declared.map(|declared| declared.min(*recorded));
                    event(number, *kind, declared, *recorded, *expires)
                })
                .collect();
            let state = project(&events);
            prop_assert_eq!(state.status, reference(&events));
            prop_assert_eq!(state.withdrawn_at.is_some(), state.status == Status::Withdrawn);
            // In another order, and with some told twice.
            let again: Vec<Model> =
                repeats.iter().filter(|_| !events.is_empty()).map(|i| i.get(&events).clone()).collect();
            events.extend(again);
            let mut seed = seed;
            events.sort_by_key(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> 33
            });
            prop_assert_eq!(&project(&events), &state);
            // A withdrawal at or after every grant always wins.
            let mut withdrawn = events.clone();
            withdrawn.push(event(99, Kind::Withdrawn, Some(12), 12, None));
            prop_assert_eq!(project(&withdrawn).status, Status::Withdrawn);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_law_by_example() {
    use Kind::{Granted, Invalidated, Withdrawn};
    for (events, expected) in [
        (vec![], Status::Pending),
        (vec![event(1, Granted, Some(1), 1, None)], Status::Granted),
        // The withdrawal came in first, and was declared later.
        (vec![event(1, Withdrawn, Some(5), 5, None), event(2, Granted, Some(4), 6, None)], Status::Withdrawn),
        // At the same instant the withdrawal is to be believed.
        (vec![event(1, Withdrawn, Some(5), 5, None), event(2, Granted, Some(5), 6, None)], Status::Withdrawn),
        // A grant of unknown time never undoes a withdrawal; a withdrawal of unknown time undoes what was there.
        (vec![event(1, Withdrawn, Some(1), 1, None), event(2, Granted, None, 6, None)], Status::Withdrawn),
        (vec![event(1, Granted, Some(5), 5, None), event(2, Withdrawn, None, 6, None)], Status::Withdrawn),
        // A new declaration by the person opens again.
        (vec![event(1, Withdrawn, Some(1), 1, None), event(2, Granted, Some(2), 2, None)], Status::Granted),
        // Another address: invalid until declared anew, and a late word of before does not help.
        (
            vec![event(1, Granted, Some(1), 1, None), event(2, Invalidated, Some(3), 3, None)],
            Status::Invalidated,
        ),
        (
            vec![
                event(1, Granted, Some(1), 1, None),
                event(2, Invalidated, Some(3), 3, None),
                event(3, Granted, Some(2), 4, None),
            ],
            Status::Invalidated,
        ),
        (
            vec![
                event(1, Granted, Some(1), 1, None),
                event(2, Invalidated, Some(3), 3, None),
                event(3, Granted, Some(4), 4, None),
            ],
            Status::Granted,
        ),
    ] {
        assert_eq!(project(&events).status, expected, "{events:?}");
    }
    let expiring = [event(1, Granted, Some(1), 1, Some(10)), event(2, Withdrawn, Some(20), 20, None)];
    for (hour, expected) in [
        (0, Status::Pending),
        (1, Status::Granted),
        (9, Status::Granted),
        (10, Status::Expired),
        (19, Status::Expired),
        (20, Status::Withdrawn),
    ] {
        assert_eq!(status_at(&expiring, at(hour)), expected, "hour {hour}");
    }
}
