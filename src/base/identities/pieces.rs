//! Splits a text into runs of digits and the separators between them. Room: base/identities.

use super::text::{self, digit};

/// The separator between a run of digits and the one before it, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// A blank before a zero.
    Blank,
    /// A slash between an area code and a number, or between two numbers.
    Slash,
    /// A comma without a blank after it.
    Comma,
    /// A comma, or a slash with blanks around it.
    Apart,
    /// A word.
    Word,
}

/// A run of digits, including characters allowed within a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The separator before it.
    pub sign: Sign,
    /// Whether it begins with `+`.
    pub plus: bool,
    /// The digits.
    pub digits: String,
    /// The digits without a `(0)` that follows other digits.
    pub zero: Option<String>,
    /// Number of digits before the first non-digit.
    pub first: usize,
    /// Positions at which another number may begin.
    pub cuts: Vec<usize>,
    /// Whether a word marks it as an internal extension.
    pub is_extension: bool,
    /// The digits of the whole group, with letters converted by the phone keypad.
    pub letters: Option<String>,
}

impl Piece {
    /// This piece and `next` as one.
    pub fn joined(&self, next: &Piece) -> Piece {
        let zero = self.zero.as_ref().map(|zero| format!("{zero}{}", next.digits));
        let zero = zero.or_else(|| next.zero.as_ref().map(|zero| format!("{}{zero}", self.digits)));
        let cuts = self.cuts.iter().copied().chain(next.cuts.iter().map(|cut| cut + self.digits.len()));
        Piece {
            digits: format!("{}{}", self.digits, next.digits),
            zero,
            cuts: cuts.collect(),
            ..self.clone()
        }
    }

    /// Splits the digits at `at`.
    pub fn cut(&self, at: usize) -> Option<(Piece, Piece)> {
        let (first, second) = self.digits.split_at_checked(at)?;
        let of = |digits: &str, plus: bool, cuts: Vec<usize>| Piece {
            plus,
            digits: digits.to_owned(),
            zero: None,
            first: digits.len(),
            cuts,
            ..self.clone()
        };
        let later = self.cuts.iter().filter_map(|cut| cut.checked_sub(at).filter(|cut| *cut > 0)).collect();
        Some((of(first, self.plus, Vec::new()), of(second, false, later)))
    }

    /// Whether it consists of a country code only.
    pub fn is_code(&self) -> bool {
        let code = self.digits.trim_start_matches('0');
        (self.plus || self.digits.starts_with("00")) && (1..=3).contains(&code.len())
    }
}

/// From this many digits on, a run may be a complete number, so that another may begin after a blank.
const MIN_COMPLETE_DIGITS: usize = 7;
/// Words between two numbers.
const SEPARATOR_WORDS: [&str; 9] = ["und", "oder", "or", "and", "bzw", "u", "et", "ou", "sowie"];
/// Words before an internal extension.
const EXTENSION_WORDS: [&str; 15] = [
    "ext",
    "extn",
    "extension",
    "xtn",
    "x",
    "dw",
    "durchwahl",
    "app",
    "apparat",
    "kl",
    "klappe",
    "nst",
    "nebenstelle",
    "int",
    "poste",
];

/// The pieces of a text, grouped where another number clearly begins.
pub fn groups(raw: &str) -> Vec<Vec<Piece>> {
    let mut text = text::visible(raw);
    if text.contains('%') {
        text = text::without_percents(&text);
    }
    let chars: Vec<char> = text.chars().map(|c| digit(c).unwrap_or(c)).collect();
    let mut cutter = Cutter::default();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        at = cutter.take(&chars, at, c);
    }
    cutter.end_group();
    cutter.groups
}

#[derive(Default)]
struct Cutter {
    groups: Vec<Vec<Piece>>,
    group: Vec<Piece>,
    /// The run being read.
    row: String,
    sign: Option<Sign>,
    is_extension: bool,
    context: Option<String>,
    letters: String,
    lettered: usize,
}

impl Cutter {
    /// Consumes the character at `at` and returns the next position.
    fn take(&mut self, chars: &[char], at: usize, c: char) -> usize {
        match c {
            '+' if self.row.chars().any(|c| c.is_ascii_digit()) => {
                self.end_piece();
                self.row.push(c);
            }
            '0'..='9' | '+' => {
                if c != '+' || self.letters.is_empty() {
                    self.letters.push(c);
                }
                self.row.push(c);
            }
            ';' => {
                if let Some(end) = self.parameter(chars, at) {
                    return end;
                }
                self.end_group();
            }
            '\n' | '\r' | '|' | '&' => self.end_group(),
            ':' if chars.get(at..at + 3) == Some(&[':', ':', ':']) => {
                self.end_group();
                return at + 3;
            }
            '/' | '\\' => {
                let blank =
                    |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_whitespace());
                let apart = blank(at.checked_sub(1)) && blank(Some(at + 1));
                self.end_piece();
                self.between(if apart { Sign::Apart } else { Sign::Slash });
            }
            ',' => {
                let apart = chars.get(at + 1).is_some_and(|c| c.is_whitespace());
                self.end_piece();
                self.between(if apart { Sign::Apart } else { Sign::Comma });
            }
            '-' | '(' | ')' | '[' | ']' | '.' | '*' | '\'' | '\u{2019}' | '\u{b7}' | '\u{2022}' | '_'
            | '~' => self.row.push(c),
            c if c.is_whitespace() => {
                let digits = self.row.chars().filter(char::is_ascii_digit).count();
                if digits >= MIN_COMPLETE_DIGITS && begins_number(chars.get(at + 1..).unwrap_or_default()) {
                    self.end_piece();
                    self.between(Sign::Blank);
                } else {
                    self.row.push(' ');
                }
            }
            '#' => {
                self.end_piece();
                self.is_extension = true;
            }
            c if c.is_alphabetic() => {
                let end = chars
                    .iter()
                    .skip(at)
                    .position(|c| !c.is_alphabetic())
                    .map_or(chars.len(), |length| at + length);
                self.word(chars.get(at..end).unwrap_or_default());
                return end;
            }
            _ => {
                self.end_piece();
                self.between(Sign::Word);
            }
        }
        at + 1
    }

    fn word(&mut self, word: &[char]) {
        self.end_piece();
        let lower: String = word.iter().flat_map(|c| c.to_lowercase()).collect();
        if SEPARATOR_WORDS.contains(&lower.as_str()) {
            self.end_group();
            return;
        }
        self.between(Sign::Word);
        self.is_extension = EXTENSION_WORDS.contains(&lower.as_str());
        // Keypad letters follow the digits of a service.
        if self.letters.len() > 2 {
            for c in lower.chars().filter(char::is_ascii_lowercase) {
                self.letters.push(key_of(c));
                self.lettered += 1;
            }
        }
    }

    /// A URI parameter (RFC 3966); returns its end.
    fn parameter(&mut self, chars: &[char], at: usize) -> Option<usize> {
        let rest = chars.get(at + 1..)?;
        let name =
            rest.iter().position(|c| !(c.is_ascii_alphabetic() || *c == '-')).filter(|length| *length > 0)?;
        if rest.get(name) != Some(&'=') {
            return None;
        }
        let behind = rest.get(name + 1..)?;
        let length =
            behind.iter().position(|c| c.is_whitespace() || ";,<>\"'|".contains(*c)).unwrap_or(behind.len());
        let key: String = rest.get(..name)?.iter().collect();
        let value: String = behind.get(..length)?.iter().collect();
        if key.eq_ignore_ascii_case("phone-context") && value.starts_with('+') && !self.row.contains('+') {
            self.context = Some(value);
        }
        Some(at + 1 + name + 1 + length)
    }

    /// Sets the separator before the next piece: the strongest one counts.
    fn between(&mut self, sign: Sign) {
        self.sign = self.sign.max(Some(sign));
    }

    fn end_piece(&mut self) {
        let row = std::mem::take(&mut self.row);
        let context = self.context.take();
        if !row.chars().any(|c| c.is_ascii_digit()) {
            return;
        }
        let row = match context {
            Some(context) => format!("{context} {row}"),
            None => row,
        };
        let mut piece = piece_of(&row);
        piece.sign = self.sign.take().unwrap_or(Sign::Word);
        piece.is_extension = std::mem::take(&mut self.is_extension) && !self.group.is_empty();
        self.group.push(piece);
    }

    fn end_group(&mut self) {
        self.end_piece();
        self.sign = None;
        self.is_extension = false;
        let letters = std::mem::take(&mut self.letters);
        if self.lettered > 2
            && let Some(first) = self.group.first_mut()
        {
            first.letters = Some(letters);
        }
        self.lettered = 0;
        if !self.group.is_empty() {
            self.groups.push(std::mem::take(&mut self.group));
        }
    }
}

/// Whether another number may begin after a blank: with a zero, unless it stands alone in brackets.
fn begins_number(behind: &[char]) -> bool {
    match behind {
        ['0', ..] => true,
        ['(', '0', next, ..] => next.is_ascii_digit(),
        _ => false,
    }
}

fn piece_of(row: &str) -> Piece {
    let plus = row.chars().find(|c| c.is_ascii_digit() || *c == '+') == Some('+');
    let mut digits = String::new();
    let mut first = None;
    let mut cuts = Vec::new();
    let (mut blank, mut bracket) = (false, false);
    for c in row.chars() {
        if c.is_ascii_digit() {
            if !digits.is_empty() && (bracket || (blank && c == '0')) {
                cuts.push(digits.len());
            }
            (blank, bracket) = (false, false);
            digits.push(c);
        } else {
            blank |= c == ' ';
            bracket |= c == '(';
            if !digits.is_empty() {
                first.get_or_insert(digits.len());
            }
        }
    }
    let tight: String = row.chars().filter(|c| *c != ' ').collect();
    let tight = tight.replace('[', "(").replace(']', ")");
    let zero = tight.split_once("(0)").and_then(|(before, behind)| {
        let of = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let (before, behind) = (of(before), of(behind));
        (!before.is_empty()).then(|| format!("{before}{behind}"))
    });
    let first = first.unwrap_or(digits.len());
    Piece { sign: Sign::Word, plus, digits, zero, first, cuts, is_extension: false, letters: None }
}

/// The keypad digit of a letter (ITU-T E.161).
fn key_of(letter: char) -> char {
    match letter {
        'a'..='c' => '2',
        'd'..='f' => '3',
        'g'..='i' => '4',
        'j'..='l' => '5',
        'm'..='o' => '6',
        'p'..='s' => '7',
        't'..='v' => '8',
        _ => '9',
    }
}
