//! Builds `web/` for the demo, where npm is there and the build is not fresh (floor 0).

use std::{
    env::consts::OS,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

/// What the build is made from.
const SOURCES: [&str; 6] =
    ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src"];

/// Builds the page unless it is fresh. `tell` gets a line about what takes long.
///
/// # Errors
/// Why it could not be built: the demo goes on without it, or with the one of before, and tells.
pub fn build(web: &Path, tell: impl FnOnce(&str)) -> Result<(), String> {
    if is_fresh(web) {
        return Ok(());
    }
    run(web, &["--version"]).and_then(|()| {
        tell("Building GraphiQL in web/ (npm ci, npm run build); this takes a minute, once ...");
        npm(web)
    })
}

/// Whether nothing that the page is made from is younger than the page.
fn is_fresh(web: &Path) -> bool {
    let Some(built) = changed(&web.join("dist/index.html")) else { return false };
    SOURCES.iter().filter_map(|name| youngest(&web.join(name))).all(|source| source <= built)
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// The last change of a file, or of anything in a directory.
fn youngest(path: &Path) -> Option<SystemTime> {
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    inner.filter_map(|entry| youngest(&entry.path())).chain(changed(path)).max()
}

/// How packages come in. Scripts of packages do not run; where the network hangs, the demo does not. npm refuses every download whose
/// longest wait before another try is below the shortest, which is ten seconds where it is not told.
const INSTALL: [&str; 9] = [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=2000",
    "--fetch-timeout=20000",
];

fn npm(web: &Path) -> Result<(), String> {
    run(web, &INSTALL)?;
    run(web, &["run", "build"])
}

fn run(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let name = if OS == "windows" { "npm.cmd" } else { "npm" };
    let done = Command::new(name).args(arguments).current_dir(web).stdin(Stdio::null()).output();
    let plain = arguments.iter().take_while(|part| !part.starts_with("--"));
    let shown = plain.fold("npm".to_owned(), |shown, part| format!("{shown} {part}"));
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said =
                [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Err(format!("`{shown}` failed{}", reason(&said)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("npm is not installed (it comes with Node.js)".to_owned())
        }
        Err(error) => Err(format!("npm does not start: {error}")),
    }
}

/// The first line by which npm or Vite tells what is wrong.
fn reason(said: &[String]) -> String {
    let telling = |line: &&str| {
        let line = line.trim_start_matches("npm ").to_lowercase();
        let bare = ["error code", "error syscall", "error errno"].iter().any(|start| line.starts_with(start));
        (line.starts_with("error") || line.contains("error:")) && !bare
    };
    let lines = || said.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(telling).or_else(|| lines().next());
    line.map(|line| format!(": {}", line.trim_start_matches("npm error "))).unwrap_or_default()
}

/// Where `web/` is: beside this package.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../web")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A package that is in no cache is asked for over the network: here nobody answers, and that alone is what fails.
    #[test]
    fn what_is_not_in_the_cache_is_downloaded() {
        if Command::new("npm").arg("--version").output().is_err() {
            println!("skipped: npm is not installed");
            return;
        }
        let place = std::env::temp_dir().join(format!("zweck-xtask-npm-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let own = r#"{"name":"own","version":"1.0.0","dependencies":{"far":"1.0.0"}}"#;
        fs::write(place.join("package.json"), own).unwrap();
        let lock = r#"{"name":"own","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"own","version":"1.0.0","dependencies":{"far":"1.0.0"}},"node_modules/far":{"version":"1.0.0","resolved":"http://127.0.0.1:9/far-1.0.0.tgz"}}}"#;
        fs::write(place.join("package-lock.json"), lock).unwrap();
        let cache = format!("--cache={}", place.join("cache").display());
        let options = ["--registry=http://127.0.0.1:9/", "--noproxy=127.0.0.1", &cache];
        let said = run(&place, &[INSTALL.as_slice(), &options].concat()).unwrap_err();
        assert!(said.contains("ECONNREFUSED"), "{said}");
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_build_is_fresh_until_a_source_is_younger() {
        let place = std::env::temp_dir().join(format!("zweck-xtask-{}", std::process::id()));
        for directory in ["dist", "src/deep"] {
            fs::create_dir_all(place.join(directory)).unwrap();
        }
        fs::write(place.join("src/deep/page.tsx"), "").unwrap();
        assert!(!is_fresh(&place));
        fs::write(place.join("dist/index.html"), "").unwrap();
        let start = changed(&place.join("dist/index.html")).unwrap();
        let later = |name: &str, seconds| {
            let file = fs::File::options().append(true).open(place.join(name)).unwrap();
            file.set_modified(start + Duration::from_secs(seconds)).unwrap();
        };
        later("dist/index.html", 10);
        assert!(is_fresh(&place));
        later("src/deep/page.tsx", 20);
        assert!(!is_fresh(&place));
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn the_reason_is_the_line_that_tells_it() {
        let npm =
            "npm warn old\nnpm error code ENOTFOUND\nnpm error network request to the registry failed\n";
        assert_eq!(reason(&[npm.to_owned()]), ": network request to the registry failed");
        assert_eq!(reason(&[String::new(), "\n".to_owned()]), "");
    }
}
