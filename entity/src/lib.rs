//! Rows as Rust types, one file per table; no logic, no GraphQL (floor 0).

pub mod access_token;
pub mod audit_entry;
pub mod audit_owed;
pub mod consent;
pub mod consent_change;
pub mod consent_change_queue;
pub mod consent_event;
pub mod consent_text;
pub mod contact;
pub mod contact_merge;
pub mod contact_point;
pub mod enums;
pub mod ground;
pub mod idempotency;
pub mod key_reader;
pub mod link;
pub mod mail;
pub mod objection;
pub mod privacy_request;
pub mod provenance;
pub mod purpose;
pub mod recipient;
pub mod restriction;
pub mod sign_up;
pub mod subject_key;
pub mod suppression;
