//! One check, and the planes of a policy with 50, 500 and 5,000 lines.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::{fmt::Write as _, hint::black_box};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use zweck::{
    policy::{Policy, Sources},
    registry,
};

/// A policy of `lines` lines, one for each field, action, purpose and role until there are enough.
fn sources(lines: usize) -> Sources {
    let objects: Vec<String> = registry::policy_objects()
        .into_iter()
        .filter(|object| !object.derived_id && !object.groups.is_empty())
        .map(|object| object.name)
        .collect();
    let actions = ["read", "mask", "create", "update"];
    let roles = ["admin", "dpo", "privacy_desk", "marketing", "sales", "support", "accounting", "auditor"];
    let purposes = ["newsletter", "event_invitations", "customer_care", "pre_contract", "accounting"];
    let mut text = String::new();
    let mut left = lines;
    for role in roles {
        for purpose in purposes {
            for object in &objects {
                for action in actions {
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                    writeln!(text, "p, role:{role}, purpose:{purpose}, {object}, {action}, allow").unwrap();
                }
            }
        }
    }
    assert_eq!(left, 0);
    Sources { policy: text, ..Sources::embedded() }
}

fn policy(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let objects = registry::policy_objects();
    let shipped = runtime.block_on(Policy::load(&Sources::embedded(), &objects)).unwrap();
    let table = shipped.table(&["marketing".to_owned()], "newsletter", None).unwrap();
    let email = shipped.object("Contact.email").unwrap();
    criterion.bench_function("check of one field", |bencher| {
        bencher.iter(|| black_box(&table).decide(black_box(email)));
    });
    let mut group = criterion.benchmark_group("load of a whole policy");
    group.sample_size(10);
    group.bench_function("shipped", |bencher| {
        bencher.iter(|| runtime.block_on(Policy::load(&Sources::embedded(), &objects)).unwrap());
    });
    for lines in [50, 500, 5_000] {
        let sources = sources(lines);
        group.bench_with_input(BenchmarkId::from_parameter(lines), &sources, |bencher, sources| {
            bencher.iter(|| runtime.block_on(Policy::load(sources, &objects)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, policy);
criterion_main!(benches);
