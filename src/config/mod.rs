//! Configuration: one struct from defaults, a TOML file, the environment and flags, checked before anything starts. Room: config.

mod faults;
mod load;
pub mod oidc;
mod origin;
pub mod pages;
pub mod recipients;
mod redacted;
mod safety;
mod secret_files;
mod settings;
mod shown;
mod values;

pub use load::Flags;
pub use origin::Origin;
pub use settings::{Config, Database, Identities, Log, LogFormat, Management, PolicyFiles, Secrets, Server};
pub(crate) use settings::{SEVERAL_HOSTS, names_several_hosts};
pub use shown::DEFAULTS;
