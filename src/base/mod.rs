//! What any server needs and what knows no person, purpose or table. Room: base.

pub mod cache;
pub mod clock;
pub mod csv_injection;
pub mod error;
pub mod fold;
pub mod i18n;
pub mod identities;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod names;
pub mod secret;
pub mod strict_json;
