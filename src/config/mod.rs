//! Configuration: one struct from defaults, a TOML file, the environment and flags, checked before anything starts. Room: config.
//!
//! Structs with defaults, of which `default.toml` is the documentation; a test compares both. What a key may be from
//! the environment follows from its default. `check` refuses what cannot be meant, `insecure_settings` what a server for real
//! data must not be started with. Where a file cannot be read as a whole each setting is read by itself
//! (`config/faults.rs`), so that all faults are told at once, those of settings that can be read as well; what would
//! only follow from a fault that was told is not.

mod effective;
mod faults;
mod hardening;
mod load;
pub mod oidc;
pub mod public_pages;
pub mod recipients;
mod redacted;
mod secret_files;
mod settings;
mod sources;
mod values;

pub use effective::DEFAULTS;
pub use load::Flags;
pub use settings::{Config, Database, Identities, Log, LogFormat, Management, PolicyFiles, Secrets, Server};
pub(crate) use settings::{SEVERAL_HOSTS, names_several_hosts};
pub use sources::ValueSources;
