//! Phone numbers in a text, and the line that each reaches (floor 1).

use super::{
    Reader,
    pieces::{self, Piece, Sign},
    plans::{self, Number, Plan},
};

/// Digits of a key, where no plan knows the number.
const KEPT: std::ops::RangeInclusive<usize> = 3..=15;
/// Digits of the longest number that two parts with a slash between them are read as.
const LONGEST_JOINED: usize = 13;
/// Digits of a part that may be an extension or the end of another number.
const SHORT: usize = 5;

/// A number that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Every key of it, the first that it is filed under.
    pub keys: Vec<String>,
    /// Whether the plans know such a number.
    pub valid: bool,
}

/// The numbers in a text, and whether something in it could not be read.
pub fn read(reader: Reader, given: &str) -> (Vec<Line>, bool) {
    let plan = reader.region.and_then(|region| plans::of(region.id()));
    let reading = Reading { plan };
    let mut lines: Vec<Line> = Vec::new();
    let mut unread = false;
    for group in pieces::groups(given) {
        reading.group(&group, &mut lines, &mut unread);
    }
    if lines.iter().any(|line| line.valid) {
        let before = lines.len();
        // Beside a number: a house, an hour, the end of another number.
        lines.retain(|line| line.valid || line.keys.first().is_some_and(|key| key.len() > SHORT + 4));
        unread |= lines.len() < before;
    }
    let mut once: Vec<Line> = Vec::new();
    for line in lines {
        if !once.iter().any(|known| known.keys.first() == line.keys.first()) {
            once.push(line);
        }
    }
    let unread = unread || (once.is_empty() && !given.trim().is_empty());
    (once, unread)
}

/// How numbers are read.
struct Reading {
    plan: Option<&'static Plan>,
}

impl Reading {
    /// The numbers of parts of a text between which no other number surely begins.
    fn group(&self, group: &[Piece], lines: &mut Vec<Line>, unread: &mut bool) {
        let mut whole: Option<Piece> = None;
        let mut found = Vec::new();
        for piece in group.iter().filter(|piece| !piece.is_extension) {
            let Some(before) = whole.take() else {
                whole = Some(piece.clone());
                continue;
            };
            let joined = before.joined(piece);
            if self.belongs(&before, piece, &joined) {
                whole = Some(joined);
            } else if piece.sign == Sign::Comma
                && piece.digits.len() <= SHORT
                && self.line(&before).is_some_and(|line| line.valid)
            {
                // What is dialled after a pause.
                whole = Some(before);
            } else {
                found.push(before);
                whole = Some(piece.clone());
            }
        }
        found.extend(whole);
        for piece in found {
            let line = self.line(&piece);
            if !line.as_ref().is_some_and(|line| line.valid)
                && let Some(parts) = self.parts(&piece)
            {
                lines.extend(parts);
                continue;
            }
            match line {
                Some(line) => lines.push(line),
                None => *unread |= piece.digits.len() > *KEPT.end(),
            }
        }
        if !lines.iter().any(|line| line.valid)
            && let Some(line) = group
                .first()
                .and_then(|piece| piece.letters.as_deref())
                .and_then(|digits| self.by_letters(digits))
        {
            lines.clear();
            lines.push(line);
        }
    }

    /// Whether a part goes on with the number before it.
    fn belongs(&self, before: &Piece, piece: &Piece, joined: &Piece) -> bool {
        if piece.plus {
            return false;
        }
        let valid = |piece: &Piece| self.line(piece).is_some_and(|line| line.valid);
        let begins = piece.digits.starts_with('0') && !before.is_code();
        match piece.sign {
            Sign::Slash if begins && valid(before) => false,
            Sign::Slash if valid(joined) && joined.digits.len() <= LONGEST_JOINED => true,
            Sign::Slash => {
                !valid(before) && before.digits.len() <= SHORT && joined.digits.len() <= LONGEST_JOINED
            }
            Sign::Comma | Sign::Word => !begins && !valid(before) && valid(joined),
        }
    }

    /// A number that is written with blanks before another.
    fn parts(&self, piece: &Piece) -> Option<Vec<Line>> {
        piece.cuts.iter().find_map(|cut| {
            let (first, second) = piece.cut(*cut)?;
            let (first, second) = (self.line(&first)?, self.line(&second)?);
            (first.valid && second.valid).then(|| vec![first, second])
        })
    }

    /// A number of a service that is dialled by the letters on the keys.
    fn by_letters(&self, digits: &str) -> Option<Line> {
        let number = self.plan?.read(digits)?;
        number.is_service().then(|| Line { keys: vec![number.e164()], valid: true })
    }

    /// What a part is the number of.
    fn line(&self, piece: &Piece) -> Option<Line> {
        let digits = piece.digits.as_str();
        if digits.bytes().all(|digit| digit == b'0') {
            return None;
        }
        if piece.plus {
            return self.international(digits.trim_start_matches('0'), piece);
        }
        let Some(plan) = self.plan else { return self.anywhere(piece) };
        let national = plan.read(digits).filter(Number::is_valid);
        if let Some(number) = self.without_plus(plan, piece, national.as_ref()) {
            return Some(line(vec![number.e164()], true));
        }
        if let Some(number) = national {
            return Some(line(vec![number.e164()], true));
        }
        if let Some(rest) = plan.behind_international_prefix(digits).or(digits.strip_prefix("00")) {
            return self.international(rest, piece);
        }
        // Of another country, its `+` lost.
        if let Some(number) = plans::international(digits).filter(Number::is_valid)
            && !digits.starts_with('0')
            && digits.len() > 9
        {
            return Some(line(vec![number.e164()], true));
        }
        let number = plan.read(digits).unwrap_or_else(|| plan.unknown(digits));
        KEPT.contains(&number.national.len()).then(|| line(vec![number.e164()], false))
    }

    /// A number of the region with its country code and without `+`, as tables lose it: where the code stands apart or
    /// what is behind it is too long for an area code that begins alike.
    fn without_plus(&self, plan: &Plan, piece: &Piece, national: Option<&Number>) -> Option<Number> {
        plan.trunk_prefix()?;
        let rest = piece.digits.strip_prefix(&plan.code().to_string())?;
        let apart = piece.first == piece.digits.len() - rest.len();
        let number = plan.number(rest).filter(Number::is_valid)?;
        (apart || national.is_none() || rest.len() > 8).then_some(number)
    }

    /// A number by its country code.
    fn international(&self, digits: &str, piece: &Piece) -> Option<Line> {
        let read = plans::international(digits).filter(Number::is_valid);
        let without = || {
            let zero = piece.zero.as_deref()?.trim_start_matches('0');
            plans::international(zero).filter(Number::is_valid)
        };
        if let Some(number) = read.or_else(without) {
            return Some(line(self.keys_of(&number), true));
        }
        let digits = piece.zero.as_deref().map_or(digits, |zero| zero.trim_start_matches('0'));
        if !KEPT.contains(&digits.len()) {
            return None;
        }
        let Some((code, rest)) = plans::country_code(digits) else {
            return Some(line(vec![format!("+{digits}")], false));
        };
        let number = plans::of_code(code).first()?.unknown(rest);
        Some(line(self.keys_of(&number), false))
    }

    /// Where no region is set, a number may have been given without its country.
    fn keys_of(&self, number: &Number) -> Vec<String> {
        let mut keys = vec![number.e164()];
        if self.plan.is_none() {
            let prefixes = plans::of_code(number.code).iter().filter_map(|plan| plan.trunk_prefix());
            let national = prefixes.map(|prefix| format!("{prefix}{}", number.national));
            keys.extend(
                national.chain([number.national.clone(), format!("{}{}", number.code, number.national)]),
            );
            once(&mut keys);
        }
        keys
    }

    /// A national number of any region.
    fn anywhere(&self, piece: &Piece) -> Option<Line> {
        let digits = piece.digits.as_str();
        if let Some(rest) = digits.strip_prefix("00").filter(|rest| !rest.starts_with('0')) {
            return self.international(rest, piece);
        }
        if !KEPT.contains(&digits.len()) {
            return None;
        }
        let mut keys = vec![digits.to_owned()];
        if let Some(number) = plans::international(digits).filter(Number::is_valid) {
            keys.extend(self.keys_of(&number));
        }
        let mut read: Vec<String> = plans::all()
            .filter_map(|plan| plan.number(digits).filter(Number::is_valid))
            .flat_map(|number| [number.e164(), number.national])
            .collect();
        read.sort();
        keys.extend(read);
        once(&mut keys);
        let valid = keys.len() > 1;
        Some(line(keys, valid))
    }
}

/// The country codes that the digits of a number may begin with: code, national number, and what is dialled before it.
pub fn parted(digits: &str) -> Option<(u16, String, &'static str)> {
    let (code, rest) = plans::country_code(digits)?;
    let prefix = plans::of_code(code).first().and_then(|plan| plan.trunk_prefix()).unwrap_or("0");
    Some((code, rest.to_owned(), prefix))
}

fn line(keys: Vec<String>, valid: bool) -> Line {
    Line { keys, valid }
}

fn once(keys: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
}
