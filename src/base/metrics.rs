//! Metrics: names, fixed label values and the recorder they are read from. Room: base.
//!
//! A label is a constant of the program (a root field, a code, a state) or the revision of the policy. No client
//! input becomes a label, so their number is bounded and none reveals a person, a token or an id.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, set_global_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Operations without a single known root field: several at once, or none that could be planned.
pub const UNKNOWN_OPERATION: &str = "other";

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const HTTP: &str = "zweck_http_request_seconds";
const OPERATION: &str = "zweck_operation_seconds";
const IN_FLIGHT: &str = "zweck_operations_in_flight";
const DECISIONS: &str = "zweck_decisions_total";
const ERRORS: &str = "zweck_errors_total";
const LIMITS: &str = "zweck_limits_hit_total";
const ENTRIES: &str = "zweck_audit_entries_total";
const RELOADS: &str = "zweck_policy_reloads_total";
const DELIVERIES: &str = "zweck_mail_deliveries_total";
const JOBS: &str = "zweck_jobs_total";
const CONNECTIONS: &str = "zweck_pool_connections";
const MAX_CONNECTIONS: &str = "zweck_pool_connections_max";
const NO_CONNECTION: &str = "zweck_pool_timeouts_total";
const BUILD: &str = "zweck_build_info";
const POLICY: &str = "zweck_policy_info";

/// Series under the names of the version before, counted beside the new ones until the next version.
const OLD_IN_FLIGHT: &str = "zweck_operations_under_way";
const OLD_RELOADS: &str = "zweck_policy_loads_total";
const OLD_DELIVERIES: &str = "zweck_mails_total";

/// Records a run of a background job.
pub fn count_job(job: &'static str, done: bool) {
    counter!(JOBS, "job" => job, "outcome" => if done { "done" } else { "failed" }).increment(1);
}

/// The handle that renders the metrics; installed once per process. Before that, recording does nothing.
///
/// `None` if another recorder is already installed.
pub fn install_recorder() -> Option<&'static PrometheusHandle> {
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
    describe_histogram!(HTTP, "Duration of requests, by status of the response.");
    describe_histogram!(OPERATION, "Duration of operations, by root field.");
    describe_gauge!(IN_FLIGHT, "Operations in progress.");
    describe_gauge!(OLD_IN_FLIGHT, "Old name of zweck_operations_in_flight.");
    describe_counter!(DECISIONS, "Requested fields, by decision.");
    describe_counter!(ERRORS, "Errors returned to clients, by code.");
    describe_counter!(LIMITS, "Requests that exceeded a limit, by limit.");
    describe_counter!(ENTRIES, "Entries written to the audit log.");
    describe_counter!(RELOADS, "Changed policies that were loaded or refused.");
    describe_counter!(OLD_RELOADS, "Old name of zweck_policy_reloads_total.");
    describe_counter!(DELIVERIES, "Attempts to deliver a mail, by outcome.");
    describe_counter!(
        OLD_DELIVERIES,
        "Old name of zweck_mail_deliveries_total, with old names of two outcomes."
    );
    describe_counter!(JOBS, "Runs of background jobs, by job and outcome.");
    describe_gauge!(CONNECTIONS, "Connections to the database, by pool and state.");
    describe_gauge!(MAX_CONNECTIONS, "Maximum number of connections of a pool.");
    describe_counter!(NO_CONNECTION, "Timeouts while waiting for a connection.");
    describe_gauge!(BUILD, "The program.");
    describe_gauge!(POLICY, "The policy in force: 1 at its revision.");
    // Counters start at 0, so that the first event shows up as an increase.
    for outcome in ["allowed", "denied", "masked"] {
        counter!(DECISIONS, "outcome" => outcome).increment(0);
    }
    for limit in ["body", "document", "rate", "time"] {
        counter!(LIMITS, "limit" => limit).increment(0);
    }
    for outcome in ["loaded", "refused"] {
        counter!(RELOADS, "outcome" => outcome).increment(0);
        counter!(OLD_RELOADS, "outcome" => outcome).increment(0);
    }
    for outcome in ["sent", "deferred", "abandoned", "withheld"] {
        counter!(DELIVERIES, "outcome" => outcome).increment(0);
        counter!(OLD_DELIVERIES, "outcome" => old_outcome(outcome)).increment(0);
    }
    counter!(ENTRIES).increment(0);
    counter!(NO_CONNECTION).increment(0);
    gauge!(IN_FLIGHT).set(0);
    gauge!(OLD_IN_FLIGHT).set(0);
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

/// Times one operation from creation to drop, whether it completes or is cancelled.
pub struct OperationTimer {
    start: Instant,
    operation: &'static str,
}

impl OperationTimer {
    /// Starts the timer.
    pub fn start() -> Self {
        gauge!(IN_FLIGHT).increment(1);
        gauge!(OLD_IN_FLIGHT).increment(1);
        Self { start: Instant::now(), operation: UNKNOWN_OPERATION }
    }

    /// Sets the operation to a root field of the schema.
    pub fn name(&mut self, operation: &'static str) {
        self.operation = operation;
    }
}

impl Drop for OperationTimer {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1);
        gauge!(OLD_IN_FLIGHT).decrement(1);
        histogram!(OPERATION, "operation" => self.operation).record(self.start.elapsed());
    }
}

/// Counts the field decisions of one operation.
pub fn count_decisions(allowed: u64, denied: usize, masked: usize) {
    let counts = [("allowed", allowed), ("denied", denied as u64), ("masked", masked as u64)];
    for (outcome, number) in counts.into_iter().filter(|(_, number)| *number > 0) {
        counter!(DECISIONS, "outcome" => outcome).increment(number);
    }
}

/// Starts the error counters for these codes at 0, so that the first error shows up as an increase.
pub fn start_at_zero(codes: impl IntoIterator<Item = &'static str>) {
    for code in codes {
        counter!(ERRORS, "code" => code).increment(0);
    }
}

/// Counts an error returned to a client, by code, and the limit that the request exceeded, if any.
pub fn count_error(code: &'static str, limit: Option<&'static str>) {
    counter!(ERRORS, "code" => code).increment(1);
    if let Some(limit) = limit {
        counter!(LIMITS, "limit" => limit).increment(1);
    }
}

/// Records an answered request.
pub fn record_request(status: u16, took: Duration) {
    histogram!(HTTP, "status" => status.to_string()).record(took);
    match status {
        408 => counter!(LIMITS, "limit" => "time").increment(1),
        413 => counter!(LIMITS, "limit" => "body").increment(1),
        _ => {}
    }
}

/// Counts committed entries of the audit log.
pub fn count_audit_entries(number: usize) {
    counter!(ENTRIES).increment(number as u64);
}

/// Counts a changed policy as loaded or refused.
pub fn count_policy_load(taken: bool) {
    let outcome = if taken { "loaded" } else { "refused" };
    counter!(RELOADS, "outcome" => outcome).increment(1);
    counter!(OLD_RELOADS, "outcome" => outcome).increment(1);
}

/// Counts an attempt to deliver a mail.
pub fn count_mail(outcome: &'static str) {
    counter!(DELIVERIES, "outcome" => outcome).increment(1);
    counter!(OLD_DELIVERIES, "outcome" => old_outcome(outcome)).increment(1);
}

/// What the version before called an outcome of a delivery.
fn old_outcome(outcome: &'static str) -> &'static str {
    match outcome {
        "deferred" => "postponed",
        "abandoned" => "given_up",
        outcome => outcome,
    }
}

/// Counts a timeout while waiting for a connection.
pub fn count_pool_timeout() {
    counter!(NO_CONNECTION).increment(1);
}

/// Sets the connection gauges of a pool.
pub fn set_pool(name: &'static str, in_use: u32, idle: u32, largest: u32) {
    gauge!(CONNECTIONS, "pool" => name, "state" => "in_use").set(in_use);
    gauge!(CONNECTIONS, "pool" => name, "state" => "idle").set(idle);
    gauge!(MAX_CONNECTIONS, "pool" => name).set(largest);
}

/// Sets the policy in force and clears the previous revision.
pub fn set_policy(revision: &str, before: Option<&str>) {
    if let Some(before) = before.filter(|before| *before != revision) {
        gauge!(POLICY, "revision" => before.to_owned()).set(0);
    }
    gauge!(POLICY, "revision" => revision.to_owned()).set(1);
}
