//! Configuration: one struct built from defaults, a TOML file, the environment and flags, checked before anything
//! starts. Room: config.
//!
//! `default.toml` documents the defaults of the structs; a test compares them. The type of an environment value
//! follows from the default of its key. `check` rejects invalid settings, `insecure_settings` rejects those with
//! which a server for real data must not start. If a file cannot be read as a whole, each setting is read on its own
//! (`config/errors.rs`), so that all errors are reported at once, including those of readable settings; errors that
//! only follow from a reported one are suppressed.

mod effective;
mod errors;
mod hardening;
mod load;
pub mod oidc;
mod old_keys;
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
