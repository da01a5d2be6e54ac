//! The one integration-test binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and print why they skip"
)]
#![allow(missing_docs, reason = "nobody reads the documentation of tests")]

mod database;
mod imports;
mod schema;
mod support;
