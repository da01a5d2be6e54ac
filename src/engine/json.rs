//! Writes JSON text and escapes strings. Room: engine.

/// `key` as a JSON string followed by a colon.
pub(in crate::engine) fn json_key(key: &str) -> String {
    let mut json = String::with_capacity(key.len() + 3);
    write_text(&mut json, key);
    json.push(':');
    json
}

pub(in crate::engine) fn write_list<'a>(out: &mut String, items: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, item);
    }
    out.push(']');
}

/// Writes a JSON string (RFC 8259).
#[inline]
pub fn write_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    // No early exit, so that the loop is vectorised; texts that need escapes are rare.
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |found, byte| found | special(byte)) {
        write_escaped(out, text);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

#[cold]
fn write_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
}
