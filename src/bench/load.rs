//! Load by `wrk` (Debian: `apt install wrk`): the script it runs and what it prints. Room: bench.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    BenchError,
    queries::{BenchRequest, ID},
};

/// The word before the figures.
const MARK: &str = "zweck-bench";

/// What one run of `wrk` found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Requests that were answered.
    pub requests: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Connections that broke or were too slow, and answers with another status than 2xx and 3xx.
    pub failed: u64,
    /// Half of the answers took at most so long, in microseconds.
    pub p50: f64,
    /// 99 of a hundred took at most so long, in microseconds.
    pub p99: f64,
}

/// What is asked under load.
pub struct Load<'a> {
    /// The request, with [`ID`] where an id belongs.
    pub request: &'a BenchRequest,
    /// Whose token it bears.
    pub token: &'a str,
    /// A file with the ids that rotate, one a line.
    pub ids: &'a Path,
    /// How many of them are left out at first.
    pub skipped: u64,
    /// Port of the server.
    pub port: u16,
    /// Connections.
    pub connections: u32,
    /// Seconds.
    pub seconds: u32,
}

/// Whether `wrk` is installed.
pub fn is_installed() -> bool {
    // It says its version and ends with 1.
    Command::new("wrk").arg("--version").output().is_ok()
}

impl Load<'_> {
    /// Loads the server, with a script in `directory`.
    ///
    /// # Errors
    /// `wrk` cannot be run, or does not print its figures.
    pub async fn run(&self, directory: &Path) -> Result<Found, BenchError> {
        let script = directory.join("load.lua");
        fs::write(&script, self.script())?;
        let arguments = [
            "--threads=1".to_owned(),
            format!("--connections={}", self.connections),
            format!("--duration={}s", self.seconds),
            "--timeout=10s".to_owned(),
            format!("--script={}", script.display()),
            format!("http://127.0.0.1:{}", self.port),
        ];
        let ran = tokio::task::spawn_blocking(move || Command::new("wrk").args(arguments).output()).await;
        let output = ran.map_err(io::Error::other)??;
        let text = String::from_utf8_lossy(&output.stdout);
        found(&text).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            BenchError::Failed(format!("`wrk` gave no figures:\n{text}{said}"))
        })
    }

    /// Every request is made before the load begins, so that the client has little to do.
    fn script(&self) -> String {
        let BenchRequest { method, path, body } = self.request;
        let rotates = path.contains(ID) || body.contains(ID);
        let ids = if rotates {
            format!("io.lines([==[{}]==])", self.ids.display())
        } else {
            "function(_, last) if not last then return '' end end".to_owned()
        };
        format!(
            "wrk.method = '{method}'\n\
             wrk.headers['Authorization'] = 'Bearer {token}'\n\
             wrk.headers['Content-Type'] = 'application/json'\n\
             local path, body = [==[{path}]==], [==[{body}]==]\n\
             local made, at = {{}}, {skipped}\n\
             function init()\n\
               for id in {ids} do\n\
                 local about = (body:gsub('{ID}', id))\n\
                 if about == '' then about = nil end\n\
                 made[#made + 1] = wrk.format(nil, (path:gsub('{ID}', id)), nil, about)\n\
               end\n\
             end\n\
             function request()\n\
               at = at % #made + 1\n\
               return made[at]\n\
             end\n\
             function done(summary, latency)\n\
               local e = summary.errors\n\
               io.write(string.format('{MARK} %d %d %d %f %f\\n', summary.requests, summary.duration,\n\
                 e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))\n\
             end\n",
            token = self.token,
            skipped = self.skipped,
        )
    }
}

fn found(text: &str) -> Option<Found> {
    let line = text.lines().find_map(|line| line.strip_prefix(MARK))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [requests, micros, failed, p50, p99] = words.as_slice() else { return None };
    Some(Found {
        requests: requests.parse().ok()?,
        seconds: micros.parse::<f64>().ok()? / 1e6,
        failed: failed.parse().ok()?,
        p50: p50.parse().ok()?,
        p99: p99.parse().ok()?,
    })
}

/// Writes `ids` to a file that a script reads.
///
/// # Errors
/// From the file system.
pub fn write_ids(directory: &Path, name: &str, ids: &[uuid::Uuid]) -> io::Result<PathBuf> {
    let file = directory.join(name);
    fs::write(&file, ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::queries::{Kind, Query};

    #[test]
    fn figures_are_read() {
        let text = "Running 2s test @ http://127.0.0.1:1\n  1 threads and 16 connections\n  Latency  1.2ms\n\
                    zweck-bench 2500 2000000 3 812.500000 2410.000000\n";
        let expected = Found { requests: 2_500, seconds: 2.0, failed: 3, p50: 812.5, p99: 2_410.0 };
        assert_eq!(found(text), Some(expected));
        assert_eq!(found("Running 2s test\n"), None);
        assert_eq!(found("zweck-bench 1 2\n"), None);
        assert_eq!(found("zweck-bench 1 2 3 nonsense 5\n"), None);
    }

    #[test]
    fn scripts_hold_the_request() {
        let request = Query::Q2.request(Kind::Governed);
        let load = |request| {
            let ids = Path::new("/tmp/ids");
            let load = Load { request, token: "t0", ids, skipped: 5, port: 1, connections: 1, seconds: 1 };
            load.script()
        };
        let script = load(&request);
        assert!(script.contains("Bearer t0") && script.contains("[==[/tmp/ids]==]"), "{script}");
        assert!(script.contains(&request.body) && script.contains("at = {}, 5"), "{script}");
        let flat = Query::Q3.request(Kind::Hand);
        let script = load(&flat);
        assert!(script.contains("wrk.method = 'GET'") && !script.contains("/tmp/ids"), "{script}");
    }
}
