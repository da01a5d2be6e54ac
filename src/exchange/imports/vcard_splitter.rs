//! Cuts a file of vCards into its cards, one at a time. Room: exchange/imports.

use std::io::{self, Read};

use super::Reason;
use crate::exchange::imports::bounded_lines::{BoundedLines, MAX_RECORD_BYTES};

/// A piece of a file of vCards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A whole card.
    Card {
        /// Line of its BEGIN.
        line: u64,
        /// Its bytes, without the cards within it.
        bytes: Vec<u8>,
        /// Whether there was a card of somebody else within it (AGENT of vCard 2.1).
        agent: bool,
    },
    /// Something that is no card.
    Refused {
        /// Where it begins.
        line: u64,
        /// Why.
        reason: Reason,
        /// Whether it contains the mark.
        has_mark: bool,
    },
}

/// The cards of a file.
pub(super) struct Cards<R> {
    lines: BoundedLines<R>,
    line: Vec<u8>,
    /// Line of a BEGIN that was read while another card was open.
    next_begin: Option<u64>,
    /// The mark to look for, ignoring case.
    mark: &'static str,
}

/// A card that is being read.
struct OpenCard {
    line: u64,
    bytes: Vec<u8>,
    /// Cards open within it.
    depth: usize,
    agent: bool,
    /// Whether the last line says that a card of somebody else follows.
    agent_follows: bool,
    too_long: bool,
    has_mark: bool,
}

impl OpenCard {
    fn new(line: u64) -> Self {
        let bytes = b"BEGIN:VCARD\r\n".to_vec();
        Self { line, bytes, depth: 0, agent: false, agent_follows: false, too_long: false, has_mark: false }
    }
}

impl<R: Read> Cards<R> {
    pub fn new(file: R, mark: &'static str) -> Self {
        Self { lines: BoundedLines::new(file, MAX_RECORD_BYTES), line: Vec::new(), next_begin: None, mark }
    }

    /// The line that was read last.
    pub fn line(&self) -> u64 {
        self.lines.read()
    }

    /// The next card or other text; `None` at the end of the file.
    ///
    /// # Errors
    /// Of the file.
    pub fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut open = self.next_begin.take().map(OpenCard::new);
        let mut outside: Option<u64> = None;
        let mut outside_has_mark = false;
        while let Some(read) = self.lines.next(&mut self.line)? {
            // A line that begins with white space continues the line before.
            let text = self.line.trim_ascii_end();
            let mark = self.mark.as_bytes();
            let marked = text.windows(mark.len()).any(|at| at.eq_ignore_ascii_case(mark));
            let begins = text.eq_ignore_ascii_case(b"BEGIN:VCARD");
            let Some(card) = &mut open else {
                if begins {
                    if let Some(line) = outside {
                        self.next_begin = Some(read.number);
                        let (reason, has_mark) = (Reason::NotACard, outside_has_mark);
                        return Ok(Some(Piece::Refused { line, reason, has_mark }));
                    }
                    open = Some(OpenCard::new(read.number));
                } else if !text.trim_ascii().is_empty() || read.too_long {
                    outside.get_or_insert(read.number);
                    outside_has_mark |= marked;
                }
                continue;
            };
            card.has_mark |= marked && card.depth == 0;
            let ends = text.eq_ignore_ascii_case(b"END:VCARD");
            match (begins, ends, card.depth) {
                (true, _, 0) if !card.agent_follows => {
                    // The one before was never closed: two persons do not become one.
                    let (line, has_mark) = (card.line, card.has_mark);
                    self.next_begin = Some(read.number);
                    return Ok(Some(Piece::Refused { line, reason: Reason::BrokenCard, has_mark }));
                }
                (true, ..) => {
                    card.depth += 1;
                    card.agent = true;
                }
                (_, true, 0) => {
                    card.bytes.extend(b"END:VCARD\r\n");
                    let OpenCard { line, bytes, agent, too_long, has_mark, .. } =
                        open.unwrap_or_else(|| OpenCard::new(0));
                    return Ok(Some(match too_long {
                        true => Piece::Refused { line, reason: Reason::TooLong, has_mark },
                        false => Piece::Card { line, bytes, agent },
                    }));
                }
                (_, true, _) => card.depth -= 1,
                (_, _, 0) => {
                    card.too_long |= read.too_long || card.bytes.len() + self.line.len() > MAX_RECORD_BYTES;
                    if card.too_long {
                        card.bytes.clear();
                    } else {
                        card.bytes.extend(&self.line);
                    }
                }
                _ => {}
            }
            if !text.is_empty() {
                card.agent_follows = text.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"AGENT"));
            }
        }
        Ok(match (open, outside) {
            (Some(card), _) => {
                Some(Piece::Refused { line: card.line, reason: Reason::BrokenCard, has_mark: card.has_mark })
            }
            (None, Some(line)) => {
                Some(Piece::Refused { line, reason: Reason::NotACard, has_mark: outside_has_mark })
            }
            (None, None) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(u64, Result<String, Reason>)> {
        let mut cards = Cards::new(text.as_bytes(), "X-NO");
        let mut pieces = Vec::new();
        while let Some(piece) = cards.next().unwrap() {
            pieces.push(match piece {
                Piece::Card { line, bytes, .. } => (line, Ok(String::from_utf8(bytes).unwrap())),
                Piece::Refused { line, reason, has_mark } => {
                    assert_eq!(has_mark, text.lines().any(|line| line == "x-no:a"), "{text}");
                    (line, Err(reason))
                }
            });
        }
        pieces
    }

    #[test]
    fn cards_are_cut_where_they_begin_and_end() {
        let whole = |name: &str| Ok(format!("BEGIN:VCARD\r\nFN:{name}\nEND:VCARD\r\n"));
        let text = "\nBEGIN:vCard\nFN:a\nEND:VCARD\n\nstray\nmore\nbegin:vcard \nFN:b\nEND:vcard\n";
        assert_eq!(cut(text), [(2, whole("a")), (6, Err(Reason::NotACard)), (8, whole("b"))]);
        let text = "BEGIN:VCARD\nFN:open\nBEGIN:VCARD\nFN:b\nEND:VCARD\nBEGIN:VCARD\nFN:c";
        assert_eq!(cut(text), [(1, Err(Reason::BrokenCard)), (3, whole("b")), (6, Err(Reason::BrokenCard))]);
        let text = "BEGIN:VCARD\nNOTE:a\n END:VCARD\n BEGIN:VCARD\nFN:a\nEND:VCARD";
        let card = "BEGIN:VCARD\r\nNOTE:a\n END:VCARD\n BEGIN:VCARD\nFN:a\nEND:VCARD\r\n".to_owned();
        assert_eq!(cut(text), [(1, Ok(card))]);
        let text = "BEGIN:VCARD\nFN:a\nAGENT:\nBEGIN:VCARD\nFN:other\nEND:VCARD\nEND:VCARD\nstray";
        let card = "BEGIN:VCARD\r\nFN:a\nAGENT:\nEND:VCARD\r\n".to_owned();
        assert_eq!(cut(text), [(1, Ok(card)), (8, Err(Reason::NotACard))]);
        assert!(cut("").is_empty() && cut("\n \n").is_empty());
        for text in
            ["BEGIN:VCARD\nx-no:a\n", "x-no:a\n", "BEGIN:VCARD\nx-no:a\nBEGIN:VCARD\nFN:b\nEND:VCARD\n"]
        {
            assert!(cut(text).iter().any(|(_, piece)| piece.is_err()), "{text}");
        }
    }

    #[test]
    fn a_card_beyond_memory_is_refused_and_the_next_is_read() {
        let mut text = "BEGIN:VCARD\n".to_owned();
        for _ in 0..17 {
            text.push_str(&"x".repeat(1 << 20));
            text.push('\n');
        }
        text.push_str("END:VCARD\nBEGIN:VCARD\nFN:b\nEND:VCARD\n");
        let pieces = cut(&text);
        assert_eq!(pieces[0], (1, Err(Reason::TooLong)));
        assert_eq!(pieces.len(), 2);
        assert!(pieces[1].1.is_ok());
    }
}
