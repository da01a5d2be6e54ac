//! Any order of consent events, late and repeated ones included, makes the state that a plain reference says.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent_event::Model,
    enums::{ConsentEventKind as Kind, ConsentStatus as Status},
};
use proptest::{prelude::*, test_runner::TestRunner};
use uuid::Uuid;
use zweck::domain::consents::projection::{project, status_at};

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

/// The status as the law's rules say it, told hour by hour and not event by event: at each hour it is asked what was said then,
/// and who of those is to be believed.
fn reference(events: &[Model]) -> Status {
    let mut times: Vec<DateTime<Utc>> = events.iter().map(time).collect();
    times.sort_unstable();
    times.dedup();
    let (mut status, mut end) = (Status::Pending, None);
    for at in times {
        let mut here: Vec<&Model> = events.iter().filter(|event| time(event) == at).collect();
        here.sort_by_key(|event| (event.recorded_at, event.id));
        let said = |kind: Kind| here.iter().any(|event| event.kind == kind);
        // What is over by then is over, whether anybody has recorded that or not.
        if status == Status::Granted && end.is_some_and(|end| end < at) {
            status = Status::Expired;
        }
        if said(Kind::Requested) {
            if status == Status::Granted {
                // A question takes nothing away but time, and none before it was put.
                let asked = here.iter().filter(|event| event.kind == Kind::Requested);
                let ends = asked.filter_map(|event| event.expires_at).map(|end| end.max(at));
                end = ends.chain(end).min();
            } else {
                (status, end) = (Status::Pending, None);
            }
        }
        // Of several grants at an instant the confirmation counts, then what was recorded last.
        let grants = here.iter().filter(|event| is_grant(event.kind));
        if let Some(last) =
            grants.max_by_key(|event| (event.kind == Kind::Confirmed, event.recorded_at, event.id))
        {
            (status, end) = (Status::Granted, last.expires_at);
        }
        let opened = |status| matches!(status, Status::Granted | Status::Pending);
        if said(Kind::Expired)
            && opened(status)
            && (status == Status::Pending || end.is_some_and(|end| end <= at))
        {
            status = Status::Expired;
        }
        if said(Kind::Invalidated) && opened(status) {
            status = Status::Invalidated;
        }
        // The word of the person is believed first.
        if said(Kind::Refused) {
            (status, end) = (Status::Refused, None);
        }
        if said(Kind::Withdrawn) {
            status = Status::Withdrawn;
        }
    }
    status
}

/// What reads show: the status, and its end by time.
fn shown(events: &[Model], now: DateTime<Utc>) -> (Status, Option<DateTime<Utc>>) {
    let state = project(events);
    let over = state.status == Status::Granted && state.expires_at.is_some_and(|end| end <= now);
    (if over { Status::Expired } else { state.status }, state.expires_at)
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
        TestRunner::new(ProptestConfig { cases: 8_000, failure_persistence: None, ..Default::default() });
    runner
        .run(&orders, |(drawn, seed, repeats)| {
            let mut events: Vec<Model> = (1..)
                .zip(&drawn)
                .map(|(number, (kind, declared, recorded, expires))| {
                    // Nothing is declared after it was recorded.
                    let declared = declared.map(|declared| declared.min(*recorded));
                    // Nor does a consent end before it was given.
                    let expires = expires.map(|end| match declared {
                        Some(declared) if is_grant(*kind) => end.max(declared + 1),
                        _ => end,
                    });
                    event(number, *kind, declared, *recorded, expires)
                })
                .collect();
            let state = project(&events);
            prop_assert_eq!(state.status, reference(&events));
            prop_assert_eq!(state.withdrawn_at.is_some(), state.status == Status::Withdrawn);
            // To record that time has ended it changes nothing of what is read, nor of what holds after whatever comes in late.
            let now = at(30);
            if let (Status::Granted, Some(end)) = (state.status, state.expires_at) {
                let mut ended = events.clone();
                ended.push(Model { declared_at: Some(end), ..event(98, Kind::Expired, None, 30, None) });
                prop_assert_eq!(shown(&ended, now), shown(&events, now));
                for late in 0..12 {
                    for (kind, expires) in
                        [(Kind::Granted, Some(25)), (Kind::Granted, None), (Kind::Withdrawn, None)]
                    {
                        let late = event(97, kind, Some(late), 29, expires);
                        if late.declared_at == Some(end) {
                            continue;
                        }
                        let with = |events: &[Model]| [events, std::slice::from_ref(&late)].concat();
                        let holds = |events: &[Model]| {
                            let (status, end) = shown(&with(events), now);
                            (status == Status::Granted, end)
                        };
                        prop_assert_eq!(holds(&ended), holds(&events));
                    }
                }
            }
            // A question never takes more from a consent in force than time, and ends none before it was put.
            let asking = event(96, Kind::Requested, Some(12), 12, Some(15));
            let mut asked = events.clone();
            asked.push(asking);
            let after = project(&asked);
            if state.status == Status::Granted && state.expires_at.is_none_or(|end| end >= at(12)) {
                prop_assert_eq!(after.status, Status::Granted);
                prop_assert_eq!(
                    after.expires_at,
                    Some(state.expires_at.map_or(at(15), |end| end.min(at(15))))
                );
                prop_assert_eq!(
                    (after.granted_at, after.consent_text_id),
                    (state.granted_at, state.consent_text_id)
                );
            }
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
