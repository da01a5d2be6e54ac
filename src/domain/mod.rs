//! The rules of law, one folder per subject. Each may use those before it in the order of `tests/floors.rs`.
//! Room: domain.

pub mod access_tokens;
pub mod consents;
pub mod contacts;
pub mod grounds;
pub mod mail_outbox;
pub mod merge;
pub mod objections;
pub mod operations;
pub mod purposes;
pub mod receipts;
pub mod recipients;
pub mod requests;
pub mod signups;
pub mod stops;
pub mod suppressions;
