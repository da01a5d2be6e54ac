//! Records the statements that read governed objects, for tests of query plans. It records the statements, never
//! their results. Room: engine.

use std::{cell::RefCell, future::Future};

use sea_orm::Statement;

tokio::task_local! {
    static HEARD: RefCell<Vec<Statement>>;
}

/// Runs `work` and returns its output with the statements that read governed objects meanwhile, in order.
pub async fn record_statements<T>(work: impl Future<Output = T>) -> (T, Vec<Statement>) {
    let recorded = async {
        let output = work.await;
        (output, HEARD.with(RefCell::take))
    };
    HEARD.scope(RefCell::default(), recorded).await
}

/// Records a statement if the current task records statements; otherwise this costs one look-up of a task-local
/// variable.
pub(in crate::engine) fn record(statement: impl FnOnce() -> Statement) {
    // Usually nobody records.
    let _ = HEARD.try_with(|heard| heard.borrow_mut().push(statement()));
}
