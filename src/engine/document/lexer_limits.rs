//! Limits of a document's text, checked before it is parsed. Room: engine/document.

use crate::base::{
    error::{Code, Error},
    limits::Limits,
};

/// Maximum nesting of brackets, including those in values.
const MAX_BRACKET_DEPTH: u64 = 200;

/// Maximum length of a name in bytes: response keys are repeated in every row.
const MAX_NAME_BYTES: usize = 255;

/// Rejects documents that are too large to parse.
///
/// # Errors
/// `QUERY_TOO_COMPLEX`; `BAD_USER_INPUT` for a name that is too long.
pub fn check_source(document: &str, limits: &Limits) -> Result<(), Error> {
    let too_complex = |message: String| Err(Error::new(Code::QueryTooComplex, message));
    if document.len() as u64 > limits.document_bytes {
        return too_complex(format!("the document has more than {} bytes", limits.document_bytes));
    }
    let (mut rest, mut tokens, mut nesting) = (document.as_bytes(), 0u64, 0u64);
    while let [first, ..] = rest {
        let (length, counts) = match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => (1, false),
            b'#' => (length_until(rest, |byte| matches!(byte, b'\n' | b'\r')), false),
            b'"' => (string_length(rest), true),
            b'.' => (length_until(rest, |byte| byte != b'.').min(3), true),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                if nesting > MAX_BRACKET_DEPTH {
                    return too_complex("the document is nested too deeply".to_owned());
                }
                (1, true)
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                (1, true)
            }
            byte if is_name_byte(*byte) => {
                let length = length_until(rest, |byte| !is_name_byte(byte));
                if length > MAX_NAME_BYTES {
                    let message = format!("a name in the document is longer than {MAX_NAME_BYTES} bytes");
                    return Err(Error::bad_input(message));
                }
                (length, true)
            }
            _ => (1, true),
        };
        tokens += u64::from(counts);
        if tokens > limits.tokens {
            return too_complex(format!("the document has more than {} tokens", limits.tokens));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The number of bytes before the first that satisfies `end`.
fn length_until(bytes: &[u8], end: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| end(*byte)).unwrap_or(bytes.len())
}

/// Length of the string that begins here. An unterminated one extends to the end of what the parser reads.
fn string_length(bytes: &[u8]) -> usize {
    if let Some(block) = bytes.strip_prefix(b"\"\"\"") {
        let mut position = 0;
        while let Some(rest) = block.get(position..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(b"\"\"\"") {
                return position + 6;
            }
            position += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 };
        }
        // Unterminated: an empty string followed by the start of another.
        return 2;
    }
    let mut position = 1;
    loop {
        match bytes.get(position) {
            Some(b'\\') => position += 2,
            Some(b'"') => return position + 1,
            Some(b'\n' | b'\r') | None => return bytes.len(),
            Some(_) => position += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str, limits: &Limits) -> Option<Code> {
        check_source(document, limits).err().map(|error| error.code)
    }

    #[test]
    fn what_is_counted_is_what_the_parser_sees() {
        let tight = |tokens| Limits { tokens, ..Limits::default() };
        for (document, tokens) in [
            ("{ a }", 3),
            ("{a,b # c d {\n}", 4),
            ("{a(x:\"} } } [[[ \\\" (\")...F}", 10),
            ("{a(x:\"\"\"} \\\"\"\" \" [[\n[ \"\"\")}", 8),
            ("query($x:Int=-1.5){a}", 15),
            ("\u{feff}{a}", 6),
        ] {
            assert_eq!(refused(document, &tight(tokens)), None, "{document}");
            assert_eq!(refused(document, &tight(tokens - 1)), Some(Code::QueryTooComplex), "{document}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused() {
        let limits = Limits { document_bytes: 2_000_000, tokens: 1_000_000, ..Limits::default() };
        for open in ["[", "{", "(", "[{", "{a(x:["] {
            let deep = format!("{{ a(x: {}", open.repeat(100_000));
            assert_eq!(refused(&deep, &limits), Some(Code::QueryTooComplex), "{open}");
        }
        assert_eq!(refused(&format!("{{ {} }}", "a".repeat(256)), &limits), Some(Code::BadUserInput));
        assert_eq!(refused(&format!("{{ {} }}", "a".repeat(255)), &limits), None);
        assert_eq!(refused(&" ".repeat(2_000_001), &limits), Some(Code::QueryTooComplex));
        // Brackets that would be missed if the rest were taken for a string.
        for hide in ["\"\"\"", "\"\"\" \\\"\"\"", "\"a\" ", "# \"\n", "\"\" # \"\"\" \r"] {
            let deep = format!("{{ a(x: {hide} {}", "[".repeat(500));
            let code = refused(&deep, &limits);
            assert!(code == Some(Code::QueryTooComplex) || hide.starts_with("\"\"\""), "{hide}");
        }
    }
}
