//! Records the statements that read governed objects, for tests of query plans: statements, never what they find. Room: engine.

use std::{cell::RefCell, future::Future};

use sea_orm::Statement;

tokio::task_local! {
    static HEARD: RefCell<Vec<Statement>>;
}

/// Does `work`, and gives the statements by which governed objects were read meanwhile, in their order.
pub async fn record_statements<T>(work: impl Future<Output = T>) -> (T, Vec<Statement>) {
    let recorded = async {
        let output = work.await;
        (output, HEARD.with(RefCell::take))
    };
    HEARD.scope(RefCell::default(), recorded).await
}

/// Notes a statement where somebody listens; elsewhere this is one look at a variable of the task.
pub(in crate::engine) fn record(statement: impl FnOnce() -> Statement) {
    // Not listened to: the usual case.
    let _ = HEARD.try_with(|heard| heard.borrow_mut().push(statement()));
}
