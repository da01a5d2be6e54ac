//! What is counted and timed: names, labels from our own lists alone, and the registry they are read from. Room: base.
//!
//! A label is a word of the program (a root field, a code, a state) or the revision of the policy. Nothing that a client sends
//! becomes one, so that their number is bounded and none tells of a person, a token or an id.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, set_global_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Operations that are named by none of our root fields: several at once, or none that could be planned.
pub const UNKNOWN_OPERATION: &str = "other";

/// Upper bounds of the times told, in seconds.
const BUCKETS_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const HTTP: &str = "zweck_http_request_seconds";
const OPERATION: &str = "zweck_operation_seconds";
const UNDER_WAY: &str = "zweck_operations_under_way";
const DECISIONS: &str = "zweck_decisions_total";
const ERRORS: &str = "zweck_errors_total";
const LIMITS: &str = "zweck_limits_hit_total";
const ENTRIES: &str = "zweck_audit_entries_total";
const LOADS: &str = "zweck_policy_loads_total";
const MAILS: &str = "zweck_mails_total";
const JOBS: &str = "zweck_jobs_total";
const CONNECTIONS: &str = "zweck_pool_connections";
const MAX_CONNECTIONS: &str = "zweck_pool_connections_max";
const NO_CONNECTION: &str = "zweck_pool_timeouts_total";
const BUILD: &str = "zweck_build_info";
const POLICY: &str = "zweck_policy_info";

/// Notes a run of a background job.
pub fn job(job: &'static str, done: bool) {
    counter!(JOBS, "job" => job, "outcome" => if done { "done" } else { "failed" }).increment(1);
}

/// Where the measures are read; made once in a process. Before that, measuring does nothing.
///
/// `None` when another registry is there already.
pub fn registry() -> Option<&'static PrometheusHandle> {
    static REGISTRY: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let made = REGISTRY.get_or_init(|| {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS_SECONDS).ok()?.build_recorder();
        let handle = recorder.handle();
        set_global_recorder(recorder).ok()?;
        describe();
        Some(handle)
    });
    made.as_ref()
}

fn describe() {
    describe_histogram!(HTTP, "How long requests took, by the status of the answer.");
    describe_histogram!(OPERATION, "How long operations took, by their root field.");
    describe_gauge!(UNDER_WAY, "Operations that are being answered now.");
    describe_counter!(DECISIONS, "Fields that documents asked for, by what was decided.");
    describe_counter!(ERRORS, "Errors told to clients, by code.");
    describe_counter!(LIMITS, "Requests that hit a limit, by which.");
    describe_counter!(ENTRIES, "Entries written to the audit log.");
    describe_counter!(LOADS, "Changed policies that were taken over or refused.");
    describe_counter!(MAILS, "Attempts to hand a mail over, by what came of them.");
    describe_counter!(JOBS, "Runs of background jobs, by job and whether they were done.");
    describe_gauge!(CONNECTIONS, "Connections to the database, by pool and state.");
    describe_gauge!(MAX_CONNECTIONS, "Most connections that a pool may have.");
    describe_counter!(NO_CONNECTION, "How often no connection was free in time.");
    describe_gauge!(BUILD, "The program.");
    describe_gauge!(POLICY, "The policy in force: 1 at its revision.");
    // Told as 0 before it happens, so that the first time is seen as a rise.
    for outcome in ["allowed", "denied", "masked"] {
        counter!(DECISIONS, "outcome" => outcome).increment(0);
    }
    for limit in ["body", "document", "rate", "time"] {
        counter!(LIMITS, "limit" => limit).increment(0);
    }
    for outcome in ["loaded", "refused"] {
        counter!(LOADS, "outcome" => outcome).increment(0);
    }
    for outcome in ["sent", "postponed", "given_up", "withheld"] {
        counter!(MAILS, "outcome" => outcome).increment(0);
    }
    counter!(ENTRIES).increment(0);
    counter!(NO_CONNECTION).increment(0);
    gauge!(UNDER_WAY).set(0);
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

/// Times one operation, from where it is made to where it is dropped, be it answered or given up.
pub struct Timing {
    start: Instant,
    operation: &'static str,
}

impl Timing {
    /// Begins now.
    pub fn start() -> Self {
        gauge!(UNDER_WAY).increment(1);
        Self { start: Instant::now(), operation: UNKNOWN_OPERATION }
    }

    /// Names the operation by a root field of the schema.
    pub fn name(&mut self, operation: &'static str) {
        self.operation = operation;
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        gauge!(UNDER_WAY).decrement(1);
        histogram!(OPERATION, "operation" => self.operation).record(self.start.elapsed());
    }
}

/// Counts what was decided of the fields of one operation.
pub fn decided(allowed: u64, denied: usize, masked: usize) {
    let known = [("allowed", allowed), ("denied", denied as u64), ("masked", masked as u64)];
    for (outcome, number) in known.into_iter().filter(|(_, number)| *number > 0) {
        counter!(DECISIONS, "outcome" => outcome).increment(number);
    }
}

/// Starts the counters of errors with these codes at 0, so that the first error is seen as a rise.
pub fn start_at_zero(codes: impl IntoIterator<Item = &'static str>) {
    for code in codes {
        counter!(ERRORS, "code" => code).increment(0);
    }
}

/// Counts an error that a client is told, by its code, and the limit that the request has hit, if it is one.
pub fn told(code: &'static str, limit: Option<&'static str>) {
    counter!(ERRORS, "code" => code).increment(1);
    if let Some(limit) = limit {
        counter!(LIMITS, "limit" => limit).increment(1);
    }
}

/// Notes an answered request.
pub fn answered(status: u16, took: Duration) {
    histogram!(HTTP, "status" => status.to_string()).record(took);
    match status {
        408 => counter!(LIMITS, "limit" => "time").increment(1),
        413 => counter!(LIMITS, "limit" => "body").increment(1),
        _ => {}
    }
}

/// Counts entries of the audit log that were committed.
pub fn entries(number: usize) {
    counter!(ENTRIES).increment(number as u64);
}

/// Counts a changed policy that was taken over, or refused.
pub fn policy_loaded(taken: bool) {
    counter!(LOADS, "outcome" => if taken { "loaded" } else { "refused" }).increment(1);
}

/// Counts an attempt to hand a mail over.
pub fn mail(outcome: &'static str) {
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// Counts that no connection was free in time.
pub fn no_connection() {
    counter!(NO_CONNECTION).increment(1);
}

/// Notes the connections of a pool.
pub fn pool(name: &'static str, in_use: u32, idle: u32, largest: u32) {
    gauge!(CONNECTIONS, "pool" => name, "state" => "in_use").set(in_use);
    gauge!(CONNECTIONS, "pool" => name, "state" => "idle").set(idle);
    gauge!(MAX_CONNECTIONS, "pool" => name).set(largest);
}

/// Notes the policy in force, and that `before` is so no more.
pub fn policy(revision: &str, before: Option<&str>) {
    if let Some(before) = before.filter(|before| *before != revision) {
        gauge!(POLICY, "revision" => before.to_owned()).set(0);
    }
    gauge!(POLICY, "revision" => revision.to_owned()).set(1);
}
