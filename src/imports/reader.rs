//! What a cell holds of addresses and numbers: one, several, or what cannot be read (floor 4).

use chrono::NaiveDate;

use crate::{
    fold::{dialled, mailbox},
    register::Check,
};

/// What was read of a cell: keys, and whether anything could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// Keys of mailboxes or numbers, each once, in their order.
    pub keys: Vec<String>,
    /// Whether anything is left that was not understood.
    pub unread: bool,
}

/// The mailboxes of a cell.
pub(super) fn read_mailboxes(cell: &str) -> Cell {
    read(&mailboxes_in(cell), Check::Email, mailbox)
}

/// The dialled numbers of a cell.
pub(super) fn read_numbers(cell: &str) -> Cell {
    read(&numbers_in(cell), Check::Phone, dialled)
}

fn read(parts: &[String], check: Check, key: fn(&str) -> String) -> Cell {
    let mut read = Cell::default();
    for part in parts {
        match check.check(part, NaiveDate::MAX) {
            Ok(Some(value)) => {
                let key = key(&value);
                if !read.keys.contains(&key) {
                    read.keys.push(key);
                }
            }
            Ok(None) => {}
            Err(_) => read.unread = true,
        }
    }
    read
}

/// The parts of a cell that holds several mailboxes, as `a, b`, `a; b` or, as Google writes it, `a ::: b`.
pub(super) fn mailboxes_in(cell: &str) -> Vec<String> {
    parts(cell, &[" ::: ", ",", ";"])
}

/// The parts of a cell that holds several numbers. A slash within a number stays.
pub(super) fn numbers_in(cell: &str) -> Vec<String> {
    let mut all = Vec::new();
    // What follows a semicolon may be an extension.
    for part in parts(&cell.replace(";ext=", "\0ext="), &[" ::: ", ",", ";"]) {
        let part = part.replace("\0ext=", ";ext=");
        let halves: Vec<&str> = part.split(" / ").map(str::trim).collect();
        let whole = |half: &str| {
            half.starts_with(['0', '+', '(']) && half.chars().filter(char::is_ascii_digit).count() > 5
        };
        if halves.iter().all(|half| whole(half)) {
            all.extend(halves.into_iter().map(str::to_owned));
        } else {
            all.push(part);
        }
    }
    all
}

fn parts(cell: &str, separators: &[&str]) -> Vec<String> {
    let mut all = vec![cell.to_owned()];
    for separator in separators {
        all = all.iter().flat_map(|part| part.split(separator).map(str::to_owned)).collect();
    }
    all.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_in_a_cell_are_read_one_by_one() {
        let read = read_mailboxes("Ute@Example.org ::: uwe@example.org, ute@example.org;");
        assert_eq!(
            read,
            Cell { keys: vec!["ute@example.org".to_owned(), "uwe@example.org".to_owned()], unread: false }
        );
        assert!(read_mailboxes("nobody").unread);
        assert_eq!(read_mailboxes("  "), Cell::default());
        assert_eq!(numbers_in("0171 2345670 / 030 23125001"), ["0171 2345670", "030 23125001"]);
        assert_eq!(numbers_in("030 / 23125001"), ["030 / 23125001"]);
        assert_eq!(numbers_in("+49 30 1;ext=12 ::: 030/23125-0"), ["+49 30 1;ext=12", "030/23125-0"]);
        assert_eq!(read_numbers("0049 30 23125 001, +49 (30) 23125001").keys, ["+493023125001"]);
    }
}
