//! Detects when a directory is settled: nothing has changed for a while, and no file is open for writing.
//! Room: jobs/policy_watch.
//!
//! File metadata shows changes without events. Linux shows which files are open in processes of the same user, and for
//! root in all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::policy::{PolicyError, PolicyErrors, Sources};

/// The default time without changes before files are read, and between two reads.
pub(super) const SETTLE_TIME: Duration = Duration::from_millis(500);

/// A file that stays open for this many times the settle time is reported.
pub(super) const MAX_SETTLE_FACTOR: u32 = 120;

pub(super) type ReadResult = Result<Sources, PolicyErrors>;

/// The time between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Reads the policy of `directory` once it is settled, without watching it. Does not wait if it is settled already.
///
/// # Errors
/// Those of [`Sources::read`]; `UNREADABLE` if it is written to for longer than a minute.
pub async fn read(directory: &Path) -> ReadResult {
    let start = Instant::now();
    loop {
        let stamps = file_stamps(directory);
        if stamps.values().all(FileStamp::is_old) && !is_being_written(directory) {
            let read = Sources::read(directory);
            if file_stamps(directory) == stamps {
                return read;
            }
        }
        if start.elapsed() > SETTLE_TIME * MAX_SETTLE_FACTOR {
            return Err(not_settled(directory));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The error for a directory that does not settle.
pub(super) fn not_settled(directory: &Path) -> PolicyErrors {
    PolicyError {
        file: directory.display().to_string(),
        line: 0,
        code: "UNREADABLE",
        message:
            "a file in it is still being written and was not closed in time; half-written files are not loaded"
                .to_owned(),
    }
    .into()
}

/// The identity of a file and its last change.
#[derive(PartialEq, Eq)]
struct FileStamp {
    number: (u64, u64),
    changed: std::time::SystemTime,
    size: u64,
}

impl FileStamp {
    #[cfg(unix)]
    fn new(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        // The change time, because a copy may reset the modification time.
        let seconds = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or_default());
        let rest = Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).unwrap_or_default());
        let changed = std::time::UNIX_EPOCH + seconds + rest;
        Self { number: (metadata.dev(), metadata.ino()), changed, size: metadata.len() }
    }

    #[cfg(not(unix))]
    fn new(metadata: &fs::Metadata) -> Self {
        let changed = metadata.modified().unwrap_or(std::time::UNIX_EPOCH);
        Self { number: (0, 0), changed, size: metadata.len() }
    }

    fn is_old(&self) -> bool {
        match self.changed.elapsed() {
            Ok(age) => age >= SETTLE_TIME,
            // The clock may have been set back; that does not make the file new.
            Err(ahead) => ahead.duration() >= SETTLE_TIME,
        }
    }
}

/// The stamps of the directories and files that a policy is read from.
fn file_stamps(directory: &Path) -> BTreeMap<PathBuf, FileStamp> {
    let mut stamps = BTreeMap::new();
    for_each_file(directory, &mut |path, found| {
        stamps.insert(path, FileStamp::new(found));
    });
    stamps
}

/// Visits the directories and files that a policy is read from.
fn for_each_file(directory: &Path, visit: &mut impl FnMut(PathBuf, &fs::Metadata)) {
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        if let Ok(metadata) = fs::metadata(&path) {
            visit(path.clone(), &metadata);
        }
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let is_policy_file = path.strip_prefix(directory).is_ok_and(Sources::is_policy_file);
            match (is_policy_file, metadata.is_dir()) {
                (true, true) => pending.push(path),
                (true, false) => visit(path, &metadata),
                _ => {}
            }
        }
    }
}

/// Whether a process that may be inspected has a policy file open for writing.
pub(super) fn is_being_written(directory: &Path) -> bool {
    let mut files = BTreeSet::new();
    for_each_file(directory, &mut |path, _| {
        // A file may be a symbolic link.
        files.extend(path.canonicalize());
    });
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let is_process_id =
        |name: &std::ffi::OsStr| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
    processes
        .filter_map(Result::ok)
        .filter(|process| is_process_id(&process.file_name()))
        .any(|process| writes(&process.path(), &files).unwrap_or(false))
}

/// Whether the process has one of `files` open for writing; `None` if it may not be inspected.
fn writes(process: &Path, files: &BTreeSet<PathBuf>) -> Option<bool> {
    let open = fs::read_dir(process.join("fd")).ok()?;
    Some(open.filter_map(Result::ok).any(|handle| {
        fs::read_link(handle.path()).is_ok_and(|file| files.contains(&file))
            && is_for_writing(&process.join("fdinfo").join(handle.file_name())).unwrap_or(false)
    }))
}

/// `flags: 0100001`, octal: the last two bits say whether the handle reads (0), writes (1) or does both (2).
fn is_for_writing(handle: &Path) -> Option<bool> {
    let text = fs::read_to_string(handle).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    Some(u32::from_str_radix(flags.trim(), 8).ok()? & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_open_for_writing_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.csv");
        let open = fs::File::create(&path).unwrap();
        assert!(is_being_written(directory.path()));
        drop(open);
        let reading = fs::File::open(&path).unwrap();
        assert!(!is_being_written(directory.path()));
        drop(reading);
        // What no policy is read from holds up none, such as the swap file of an editor.
        let _open = fs::File::create(directory.path().join(".policy.csv.swp")).unwrap();
        assert!(!is_being_written(directory.path()));
    }
}
