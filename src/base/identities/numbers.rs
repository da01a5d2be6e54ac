//! Finds phone numbers in a text and the line that each reaches. Room: base/identities.

use super::{
    pieces::{self, Piece, Sign},
    plans::{self, Number, Plan},
    region::Region,
    text,
};

/// Allowed digits of a number outside every numbering plan; with a country code, the digits after it.
const UNPLANNED_DIGITS: std::ops::RangeInclusive<usize> = 3..=15;
/// Longest key, in characters, for joining two parts separated by a slash.
const MAX_JOINED_KEY_CHARS: usize = 14;
/// Maximum digits of a part that may be an extension or the end of another number.
const MAX_EXTENSION_DIGITS: usize = 5;

/// A number that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// All its keys; it is filed under the first.
    pub keys: Vec<String>,
    /// Whether the number is valid in its numbering plan.
    pub valid: bool,
}

/// The numbers in a text, and whether a part of it could not be read.
pub fn read(region: Option<Region>, raw: &str) -> (Vec<Line>, bool) {
    let plan = region.and_then(|region| plans::for_region(region.id()));
    let reading = Reading { plan };
    let mut lines: Vec<Line> = Vec::new();
    let mut unread = false;
    for group in pieces::groups(raw) {
        lines.extend(reading.group(&group, &mut unread));
    }
    if lines.iter().any(|line| line.valid) {
        let before = lines.len();
        // Next to a valid number: a house number, a time of day, the end of another number.
        lines.retain(|line| {
            line.valid || line.keys.first().is_some_and(|key| key.len() > MAX_EXTENSION_DIGITS + 4)
        });
        unread |= lines.len() < before;
    }
    let mut once: Vec<Line> = Vec::new();
    for line in lines {
        if !once.iter().any(|existing| existing.keys.first() == line.keys.first()) {
            once.push(line);
        }
    }
    let unread = unread || (once.is_empty() && !raw.trim().is_empty());
    (once, unread)
}

/// From this many digits on, the part before a point is not part of a number written with points.
const MIN_COMPLETE_DIGITS: usize = 7;
/// Letters between digits that are intentional: extensions, number types, hours.
const MEANINGFUL_LETTERS: [&str; 14] =
    ["x", "dw", "kl", "u", "et", "ou", "or", "f", "t", "m", "p", "h", "a", "tv"];

/// Whether the text was a number before a spreadsheet or a typing error changed it: `4.91712E+11`, `1712345670.0`,
/// `0171 234567o`. The original cannot be recovered.
pub fn is_damaged(raw: &str) -> bool {
    let text: Vec<char> = text::visible(raw).chars().map(|c| text::digit(c).unwrap_or(c)).collect();
    let at = |index: usize| text.get(index).copied().unwrap_or(' ');
    let is_digit = |index: Option<usize>| index.is_some_and(|index| at(index).is_ascii_digit());
    let mut index = 0;
    while index < text.len() {
        let length = |fits: &dyn Fn(char) -> bool, from: usize| {
            text.iter().skip(from).take_while(|c| fits(**c)).count()
        };
        if at(index).is_alphabetic() {
            let count = length(&char::is_alphabetic, index);
            let word: String = text.iter().skip(index).take(count).flat_map(|c| c.to_lowercase()).collect();
            let (before, end) = (is_digit(index.checked_sub(1)), index + count);
            let signed = matches!(at(end), '+' | '-') && is_digit(Some(end + 1));
            let behind = is_digit(Some(end));
            let exponent = word == "e" && (behind || signed);
            let inside = behind && count <= 2 && !MEANINGFUL_LETTERS.contains(&word.as_str());
            // A letter that looks like a digit and may stand for one.
            let alike = matches!(word.as_str(), "o" | "l" | "i");
            if before && (exponent || inside || alike) {
                return true;
            }
            index = end;
        } else if at(index).is_ascii_digit() {
            let count = length(&|c| c.is_ascii_digit() || c == '.', index);
            let row: String = text.iter().skip(index).take(count).collect();
            if let Some((integer, rest)) = row.split_once('.')
                && integer.len() >= MIN_COMPLETE_DIGITS
                && !rest.is_empty()
                && !rest.contains('.')
                && (rest.len() <= 2 || rest.bytes().all(|digit| digit == b'0'))
            {
                return true;
            }
            index += count;
        } else {
            index += 1;
        }
    }
    false
}

/// How numbers are read.
struct Reading {
    plan: Option<&'static Plan>,
}

impl Reading {
    /// The numbers in a group of pieces, within which no other number clearly begins.
    fn group(&self, group: &[Piece], unread: &mut bool) -> Vec<Line> {
        let mut lines = Vec::new();
        let join_pieces = self.join_pieces(group, unread);
        for (at, piece) in join_pieces.iter().enumerate() {
            // Possibly the end of a number that begins like the one before it, which is ambiguous.
            let trunk = self.plan.is_some_and(|plan| plan.trunk_prefix().is_some());
            let is_complete =
                piece.plus || (piece.digits.starts_with('0') && piece.digits.len() > MAX_EXTENSION_DIGITS);
            *unread |= at > 0 && trunk && !is_complete && piece.sign != Sign::Word;
            self.lines(piece, &mut lines, unread);
        }
        if !lines.iter().any(|line| line.valid)
            && let Some(letters) = group.first().and_then(|piece| piece.letters.as_deref())
            && let Some(line) = self.by_letters(letters)
        {
            return vec![line];
        }
        lines
    }

    /// Joins the pieces of each number and drops internal extensions.
    fn join_pieces(&self, group: &[Piece], unread: &mut bool) -> Vec<Piece> {
        let mut join_pieces: Vec<Piece> = Vec::new();
        for piece in group.iter().filter(|piece| !piece.is_extension) {
            let Some(before) = join_pieces.last_mut() else {
                join_pieces.push(piece.clone());
                continue;
            };
            let joined = before.joined(piece);
            if self.continues(before, piece, &joined) {
                *before = joined;
                continue;
            }
            // After a comma comes what is dialled after a pause, or the end of another number.
            let short =
                piece.digits.len() <= MAX_EXTENSION_DIGITS && !piece.plus && !piece.digits.starts_with('0');
            let comma = matches!(piece.sign, Sign::Comma | Sign::Apart);
            if short && comma && self.is_valid(before) {
                *unread |= piece.sign == Sign::Apart;
                continue;
            }
            join_pieces.push(piece.clone());
        }
        join_pieces
    }

    /// The number of a piece, or of its parts if another number begins after a blank.
    fn lines(&self, piece: &Piece, lines: &mut Vec<Line>, unread: &mut bool) {
        let line = self.line(piece);
        if !line.as_ref().is_some_and(|line| line.valid) {
            for cut in &piece.cuts {
                let Some((first, rest)) = piece.cut(*cut) else { continue };
                let Some(first) = self.line(&first).filter(|line| line.valid) else { continue };
                lines.push(first);
                return self.lines(&rest, lines, unread);
            }
        }
        match line {
            Some(line) => lines.push(line),
            None => *unread |= piece.digits.len() > *UNPLANNED_DIGITS.end(),
        }
    }

    fn is_valid(&self, piece: &Piece) -> bool {
        self.line(piece).is_some_and(|line| line.valid)
    }

    /// Whether a piece continues the number before it.
    fn continues(&self, before: &Piece, piece: &Piece, joined: &Piece) -> bool {
        if piece.plus {
            return false;
        }
        let valid = |piece: &Piece| self.is_valid(piece);
        let begins = piece.digits.starts_with('0') && !before.is_code();
        let long = |piece: &Piece| {
            let line = self.line(piece);
            line.and_then(|line| line.keys.first().map(String::len)).unwrap_or(piece.digits.len())
        };
        match piece.sign {
            Sign::Blank => !valid(before) || (valid(joined) && long(joined) <= MAX_JOINED_KEY_CHARS),
            Sign::Slash if begins && valid(before) => false,
            Sign::Slash if valid(joined) && long(joined) <= MAX_JOINED_KEY_CHARS => true,
            Sign::Slash => {
                !valid(before)
                    && long(before) <= MAX_EXTENSION_DIGITS + 4
                    && long(joined) <= MAX_JOINED_KEY_CHARS
            }
            Sign::Comma | Sign::Apart | Sign::Word => !begins && !valid(before) && valid(joined),
        }
    }

    /// A service number that is dialled by the letters on the keys.
    fn by_letters(&self, digits: &str) -> Option<Line> {
        let number = match digits.strip_prefix('+') {
            Some(digits) => plans::international(digits)?,
            None => self.plan?.read(digits)?,
        };
        let valid = number.is_service();
        // As advertised: with too many or too few letters.
        let service = ["800", "900", "700", "180"].iter().any(|prefix| number.national.starts_with(prefix));
        let fits = (valid || service)
            && UNPLANNED_DIGITS.contains(&number.national.len())
            && number.national.len() > MAX_EXTENSION_DIGITS + 2;
        fits.then(|| line(vec![number.e164()], valid))
    }

    /// The number of a piece.
    fn line(&self, piece: &Piece) -> Option<Line> {
        let digits = piece.digits.as_str();
        if digits.bytes().all(|digit| digit == b'0') {
            return None;
        }
        if piece.plus {
            return self.international(digits, piece);
        }
        let Some(plan) = self.plan else { return self.in_any_region(piece) };
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
        // A number of another country that lost its `+`.
        if let Some(number) = plans::international(digits).filter(Number::is_valid)
            && !digits.starts_with('0')
            && digits.len() > 9
        {
            return Some(line(vec![number.e164()], true));
        }
        if !UNPLANNED_DIGITS.contains(&digits.len()) {
            return None;
        }
        let rest = plan.read(digits).map_or_else(|| digits.to_owned(), |number| number.national);
        Some(line(vec![plan.unknown(&rest).e164()], false))
    }

    /// A number of the region with its country code but without `+`, as spreadsheets drop it: if the code is
    /// separated, or the rest is too long for an area code with the same beginning.
    fn without_plus(&self, plan: &Plan, piece: &Piece, national: Option<&Number>) -> Option<Number> {
        plan.trunk_prefix()?;
        let rest = piece.digits.strip_prefix(&plan.code().to_string())?;
        let apart = piece.first == piece.digits.len() - rest.len();
        let number = plan.number(rest).filter(Number::is_valid)?;
        (apart || national.is_none() || rest.len() > 8).then_some(number)
    }

    /// A number with its country code.
    fn international(&self, digits: &str, piece: &Piece) -> Option<Line> {
        let digits = digits.trim_start_matches('0');
        let read = plans::international(digits).filter(Number::is_valid);
        let without = || {
            let zero = piece.zero.as_deref()?.trim_start_matches('0');
            plans::international(zero).filter(Number::is_valid)
        };
        if let Some(number) = read.or_else(without) {
            return Some(line(self.keys_of(&number), true));
        }
        let digits = piece.zero.as_deref().map_or(digits, |zero| zero.trim_start_matches('0'));
        if digits.len() < *UNPLANNED_DIGITS.start() {
            return None;
        }
        let Some((code, rest)) = plans::country_code(digits) else {
            return UNPLANNED_DIGITS.contains(&digits.len()).then(|| line(vec![format!("+{digits}")], false));
        };
        let number = plans::for_country_code(code).first()?.unknown(rest);
        (1..=*UNPLANNED_DIGITS.end())
            .contains(&number.national.len())
            .then(|| line(self.keys_of(&number), false))
    }

    /// Without a configured region, a number may have been given without its country code.
    fn keys_of(&self, number: &Number) -> Vec<String> {
        let mut keys = vec![number.e164()];
        if self.plan.is_none() {
            let prefixes = plans::for_country_code(number.code).iter().filter_map(|plan| plan.trunk_prefix());
            let national = prefixes.map(|prefix| format!("{prefix}{}", number.national));
            keys.extend(
                national.chain([number.national.clone(), format!("{}{}", number.code, number.national)]),
            );
            once(&mut keys);
        }
        keys
    }

    /// A national number of any region.
    fn in_any_region(&self, piece: &Piece) -> Option<Line> {
        let digits = piece.digits.as_str();
        if let Some(rest) = digits.strip_prefix("00").filter(|rest| !rest.starts_with('0')) {
            return self.international(rest, piece);
        }
        if !UNPLANNED_DIGITS.contains(&digits.len()) {
            return None;
        }
        let mut keys = vec![digits.to_owned()];
        if let Some(number) = plans::international(digits).filter(Number::is_valid) {
            keys.extend(self.keys_of(&number));
        }
        let mut read: Vec<String> = plans::all()
            .filter_map(|plan| plan.number(digits).filter(Number::is_valid))
            .flat_map(|number| self.keys_of(&number))
            .collect();
        read.sort();
        keys.extend(read);
        once(&mut keys);
        let valid = keys.len() > 1;
        Some(line(keys, valid))
    }
}

fn line(keys: Vec<String>, valid: bool) -> Line {
    Line { keys, valid }
}

fn once(keys: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
}
