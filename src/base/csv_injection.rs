//! Spreadsheet formulas in the cells of a CSV file, neutralised without loss (OWASP, CSV injection). Room: base.

/// What makes a spreadsheet take a cell for a formula, in front of it.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
}

/// What another reader of the file may take for the border of a cell.
fn is_border(c: char) -> bool {
    matches!(c, ',' | ';' | '\t' | '\n' | '\r' | '|')
}

/// Calls `place` with the characters of `cell`, and for each whether it begins a formula and stands behind an apostrophe.
fn each_character(cell: &str, mut place: impl FnMut(char, Option<bool>)) {
    let (mut starts, mut apostrophe) = (true, false);
    for c in cell.chars() {
        place(c, (starts && begins_formula(c)).then_some(apostrophe));
        starts = is_border(c) || (starts && matches!(c, ' ' | '"' | '\''));
        apostrophe = c == '\'';
    }
}

/// `cell` with an apostrophe in front of whatever a spreadsheet would take for a formula: at its beginning, and behind what
/// a spreadsheet with other settings takes for the border of a cell.
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

/// The cell that [`escape`] made `text` of.
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
            // Nothing stands at a border that a spreadsheet would run.
            each_character(&kept, |_, formula| assert_ne!(formula, Some(false)));
        }
    }
}
