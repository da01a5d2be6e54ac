//! The baselines: the same data with the same look-up of the token and the same row rule, and no rights on fields. Room: bench/baselines.
//!
//! They are measured against and serve nobody: what they lack is what the product is. They use the pools of the application as they
//! are, so that connections differ in nothing.

mod answers;
mod handwritten;
mod plain_async_graphql;
mod rows;
mod sql;

use std::sync::Arc;

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

use crate::{app::App, http::stop_signal, jobs};

/// Which baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Stock async-graphql with DataLoader.
    Stock,
    /// Handlers written by hand.
    Hand,
}

/// Serves a baseline until it is told to stop.
///
/// # Errors
/// From the listener.
pub async fn serve(baseline: Baseline, app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let router: Router = match baseline {
        Baseline::Stock => plain_async_graphql::router(app),
        Baseline::Hand => {
            let numbering = app.clone();
            tokio::spawn(async move { jobs::run_numbering(&numbering).await });
            handwritten::router(app)
        }
    };
    // As the server does: answers are written at once.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stop_signal()).await
}
