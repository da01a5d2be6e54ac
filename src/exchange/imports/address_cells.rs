//! Parses cells with addresses or phone numbers. Room: exchange/imports.

use crate::{
    base::identities::{Reader, Reading, is_damaged},
    domain::contacts::Reachable,
};

/// The parsed contents of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AddressCell {
    /// Mailboxes or numbers, each once, in their order.
    pub all: Vec<Reachable>,
    /// Whether anything is left that was not understood.
    pub unread: bool,
}

/// The mailboxes of a cell.
pub(super) fn read_mailboxes(reader: &Reader, cell: &str) -> AddressCell {
    read(reader.emails(cell), cell)
}

/// The dialled numbers of a cell.
pub(super) fn read_numbers(reader: &Reader, cell: &str) -> AddressCell {
    if !is_damaged(cell) {
        return read(reader.numbers(cell), cell);
    }
    // A phone number damaged by a spreadsheet is somebody else's number.
    let mut undamaged = numbers_in(cell);
    undamaged.retain(|part| !is_damaged(part));
    let rest = undamaged.join(", ");
    AddressCell { unread: true, ..read(reader.numbers(&rest), &rest) }
}

fn read(reading: Reading, cell: &str) -> AddressCell {
    let all: Vec<Reachable> =
        reading.identities.into_iter().map(|identity| Reachable::from_text(identity, cell)).collect();
    // A filled cell without a result was not understood.
    AddressCell { unread: reading.unread || (all.is_empty() && !cell.trim().is_empty()), all }
}

/// The parts of a cell that holds several mailboxes, as `a, b`, `a; b` or, as Google writes it, `a ::: b`.
pub(super) fn mailboxes_in(cell: &str) -> Vec<String> {
    parts(cell, &[" ::: ", ",", ";"])
}

/// The parts of a cell that holds several numbers. A slash within a number stays.
pub(super) fn numbers_in(cell: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    // What follows a semicolon may be an extension.
    for part in parts(&cell.replace(";ext=", "\0ext="), &[" ::: ", ",", ";"]) {
        let part = part.replace("\0ext=", ";ext=");
        let halves: Vec<&str> = part.split(" / ").map(str::trim).collect();
        let is_number = |half: &str| {
            half.starts_with(['0', '+', '(']) && half.chars().filter(char::is_ascii_digit).count() > 5
        };
        if halves.iter().all(|half| is_number(half)) {
            numbers.extend(halves.into_iter().map(str::to_owned));
        } else {
            numbers.push(part);
        }
    }
    numbers
}

fn parts(cell: &str, separators: &[&str]) -> Vec<String> {
    let mut pieces = vec![cell.to_owned()];
    for separator in separators {
        pieces = pieces.iter().flat_map(|part| part.split(separator).map(str::to_owned)).collect();
    }
    pieces.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_in_a_cell_are_read_one_by_one() {
        let reader = Reader::default();
        let keys = |cell: &AddressCell| {
            cell.all.iter().map(|one| one.identity().key().to_owned()).collect::<Vec<_>>()
        };
        let read = read_mailboxes(&reader, "Ute@Example.org ::: uwe@example.org, ute@example.org;");
        assert_eq!(keys(&read), ["ute@example.org", "uwe@example.org"]);
        assert!(!read.unread);
        assert!(read_mailboxes(&reader, "nobody").unread);
        assert_eq!(read_mailboxes(&reader, "  "), AddressCell::default());
        let numbers = read_numbers(&reader, "0049 30 23125 001, +49 (30) 23125001");
        assert_eq!(keys(&numbers), ["+493023125001"]);
        for damaged in ["4.91712E+11", "1712345670.0", "491712345670.0", "0171 234567o", "4,91712E+11"] {
            let read = read_numbers(&reader, damaged);
            assert!(read.unread && read.all.is_empty(), "{damaged}");
        }
        let read = read_numbers(&reader, "1712345670.0, 030 23125001");
        assert!(read.unread && keys(&read) == ["+493023125001"]);
        assert_eq!(numbers_in("0171 2345670 / 030 23125001"), ["0171 2345670", "030 23125001"]);
        assert_eq!(numbers_in("030 / 23125001"), ["030 / 23125001"]);
        assert_eq!(numbers_in("+49 30 1;ext=12 ::: 030/23125-0"), ["+49 30 1;ext=12", "030/23125-0"]);
    }
}
