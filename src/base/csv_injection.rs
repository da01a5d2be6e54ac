//! Neutralises spreadsheet formulas in CSV cells without losing data (OWASP, CSV injection). Room: base.

/// Whether a spreadsheet treats a cell that starts with this character as a formula.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
}

/// Whether another CSV reader may treat this character as a cell border.
fn is_border(c: char) -> bool {
    matches!(c, ',' | ';' | '\t' | '\n' | '\r' | '|')
}

/// Calls `visit` with each character of `cell`. The second argument is `Some` if the character would begin a formula,
/// and says whether an apostrophe precedes it.
fn each_character(cell: &str, mut visit: impl FnMut(char, Option<bool>)) {
    let (mut starts, mut apostrophe) = (true, false);
    for c in cell.chars() {
        visit(c, (starts && begins_formula(c)).then_some(apostrophe));
        starts = is_border(c) || (starts && matches!(c, ' ' | '"' | '\''));
        apostrophe = c == '\'';
    }
}

/// Puts an apostrophe before every formula that a spreadsheet would run: at the start of `cell`, and after each
/// character that a spreadsheet with other settings treats as a cell border.
pub fn escape(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len() + 1);
    each_character(cell, |c, formula| {
        if formula.is_some() {
            out.push('\'');
        }
        out.push(c);
    });
    out
}

/// Reverses [`escape`].
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    each_character(text, |c, formula| {
        if formula == Some(true) {
            out.pop();
        }
        out.push(c);
    });
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_are_neutralised() {
        for (cell, kept) in [
            ("=1+1", "'=1+1"),
            ("+49 30 1", "'+49 30 1"),
            ("-5", "'-5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" \"=1", " \"'=1"),
            ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
            ("two\n=lines", "two\n'=lines"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("a-b=c", "a-b=c"),
            ("O'Brien", "O'Brien"),
            ("", ""),
        ] {
            assert_eq!(escape(cell), kept, "{cell:?}");
            assert_eq!(unescape(kept), cell, "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(cell in "[-=+@',; \"\n\tab＝|]{0,12}") {
            let kept = escape(&cell);
            prop_assert_eq!(unescape(&kept), cell);
            // No border is followed by something that a spreadsheet would run.
            each_character(&kept, |_, formula| assert_ne!(formula, Some(false)));
        }
    }
}
