//! Has Cargo build anew when the page that is embedded was built, or was removed. It reads and writes nothing (floor 0).

use std::path::Path;

fn main() {
    // Cargo takes a path that is not there for one that has changed every time. Without a build of the page the directory
    // that it would come into is watched instead.
    let watched = if Path::new("web/dist").is_dir() { "web/dist" } else { "web" };
    let mut out = std::io::stdout().lock();
    // Nobody reads this but Cargo; where it does not, there is nothing to be told.
    let _ = std::io::Write::write_all(&mut out, format!("cargo:rerun-if-changed={watched}\n").as_bytes());
}
