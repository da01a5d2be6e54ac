//! What tests share.

pub mod app;
pub mod client;
pub mod database;
pub mod dump;
pub mod world;

/// Says why a test does less, past the harness, which keeps what passing tests print to itself.
pub fn skipped(reason: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes()).unwrap();
}
