//! The one integration-test binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail by panicking, print why they skip, and nobody reads their documentation"
)]

mod audits;
mod chinook;
mod clients;
mod database;
mod demo;
mod docs;
mod duplicates;
mod exports;
mod floors;
mod golden;
mod graphiql;
mod graphql_ws;
mod hostile;
mod hostile_http;
mod http;
mod imports;
mod limits;
mod logs;
mod management;
mod noninterference;
mod oidc;
mod outage;
mod policy;
mod reads;
mod reference;
mod reload;
mod schema;
mod settings;
mod shutdown;
mod sockets;
mod support;
mod tokens;
mod vcards;
mod visibility;
mod writes;
