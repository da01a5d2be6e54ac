//! Names that were replaced stay gone: a constant says what it bounds and in which unit, and an item has the word of its field.

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Fields, ImplItem, Item, TraitItem};

use crate::floors;

/// First words of a constant's name that do not say what it bounds, and the words that do.
const CONSTANTS: &[(&str, &str)] = &[
    ("MOST", "MAX_<THINGS>"),
    ("LONGEST", "MAX_<THING>_BYTES, _CHARS or _DAYS, or MAX_<THING>_TIME"),
    ("LARGEST", "MAX_<THING>_BYTES"),
    ("HIGHEST", "MAX_<THING>"),
    ("DEEPEST", "MAX_DEPTH or MAX_<THING>_DEPTH"),
    ("SHORTEST", "MIN_<THING>_CHARS"),
    ("SMALLEST", "MIN_<THING>"),
    ("FEWEST", "MIN_<THINGS>"),
    ("LEAST", "MIN_<THING>"),
    ("PATIENCE", "<STEP>_TIMEOUT"),
    ("FAREWELL", "CLOSE_TIMEOUT"),
    ("LINGER", "DRAIN_TIME"),
    ("OVERTIME", "RESPONSE_GRACE"),
    ("FRESH", "CACHE_TTL"),
    ("TRUSTED", "MAX_IDLE_UNCHECKED"),
    ("KEPT", "CAPACITY or RETENTION"),
    ("TIDY", "CLEANUP_EVERY"),
    ("BEAT", "HEARTBEAT_INTERVAL or POLL_INTERVAL"),
    ("SILENCE", "HEARTBEAT_TIMEOUT"),
    ("UPKEEP", "MAINTENANCE_INTERVAL or another <WORK>_INTERVAL"),
    ("ALIKE", "MIN_SIMILARITY"),
    ("USAGE", "KEY_CONTEXT"),
    ("ROWS", "INSERT_BATCH"),
    ("CHUNK", "INSERT_BATCH"),
    ("PARAMETERS", "MAX_BIND_VALUES"),
    ("NOBODY", "SYSTEM_SUBJECT"),
];

/// Constants whose whole name says too little.
const VAGUE_CONSTANTS: &[(&str, &str)] = &[
    ("BATCH", "BATCH_SIZE"),
    ("ANYONE", "ANY_ROLE"),
    ("ANY", "ANY_PURPOSE"),
    ("LENGTH", "<THING>_CHARS"),
    ("DIGITS", "<THING>_DIGITS"),
    ("PAUSE", "<STEP>_DELAY"),
    ("REST", "SETTLE_TIME"),
    ("TOO_MANY", "MAX_<THINGS>"),
];

/// Names of types, variants, functions, fields and modules that were replaced, and by which.
fn replaced() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("replaced_names.txt").lines();
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries.map(|line| line.split_once(": ").unwrap()).collect()
}

/// Finds replaced names in the items of one file.
struct Finder {
    replaced: BTreeMap<&'static str, &'static str>,
    /// Line, name and the better word.
    found: Vec<(usize, String, &'static str)>,
}

impl Finder {
    fn read(text: &str) -> Self {
        let file = syn::parse_file(text).unwrap();
        let mut finder = Self { replaced: replaced(), found: Vec::new() };
        finder.constants(file.to_token_stream());
        file.items.iter().for_each(|item| finder.item(item));
        finder.found.sort();
        finder
    }

    /// Every `const` and `static`, also those within functions and macros.
    fn constants(&mut self, tokens: TokenStream) {
        let mut declares = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.constants(group.stream()),
                TokenTree::Ident(word) if word == "const" || word == "static" => {
                    declares = true;
                    continue;
                }
                TokenTree::Ident(name) if declares => self.constant(&name),
                _ => {}
            }
            declares = false;
        }
    }

    fn constant(&mut self, name: &Ident) {
        let text = name.to_string();
        let first = text.split('_').next().unwrap_or_default();
        let vague = VAGUE_CONSTANTS.iter().find(|(old, _)| *old == text);
        if let Some((_, better)) = vague.or_else(|| CONSTANTS.iter().find(|(old, _)| *old == first)) {
            self.found.push((name.span().start().line, text, better));
        }
    }

    fn name(&mut self, name: &Ident) {
        let text = name.to_string();
        if let Some(better) = self.replaced.get(text.as_str()).copied() {
            self.found.push((name.span().start().line, text, better));
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Fn(item) => self.name(&item.sig.ident),
            Item::Type(item) => self.name(&item.ident),
            Item::Struct(item) => {
                self.name(&item.ident);
                self.fields(&item.fields);
            }
            Item::Enum(item) => {
                self.name(&item.ident);
                for variant in &item.variants {
                    self.name(&variant.ident);
                    self.fields(&variant.fields);
                }
            }
            Item::Trait(item) => {
                self.name(&item.ident);
                for member in &item.items {
                    match member {
                        TraitItem::Fn(member) => self.name(&member.sig.ident),
                        TraitItem::Type(member) => self.name(&member.ident),
                        _ => {}
                    }
                }
            }
            Item::Impl(item) => {
                for member in &item.items {
                    if let ImplItem::Fn(member) = member {
                        self.name(&member.sig.ident);
                    }
                }
            }
            Item::Mod(item) => {
                self.name(&item.ident);
                item.content.iter().flat_map(|(_, items)| items).for_each(|item| self.item(item));
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Fields) {
        fields.iter().filter_map(|field| field.ident.as_ref()).for_each(|name| self.name(name));
    }
}

#[test]
fn replaced_names_stay_gone() {
    let mut found = Vec::new();
    for (file, text) in floors::all() {
        for (line, name, better) in Finder::read(&text).found {
            found.push(format!("src/{file}:{line}: `{name}`; better: {better}"));
        }
    }
    assert!(found.is_empty(), "these names were replaced:\n{}", found.join("\n"));
}

/// The check finds a replaced name in whatever kind of item it stands, and nothing in comments, strings and expressions.
#[test]
fn a_replaced_name_is_found_in_every_kind_of_item() {
    let text = "\
        // MOST, Reached and guarded stand in a comment.\n\
        const MOST_ROWS: usize = 1;\n\
        pub static KEPT: usize = 1;\n\
        fn guarded() -> &'static str { const LONGEST: usize = 1; let dangers = \"Reached\"; dangers }\n\
        struct Reached { dangers: u8 }\n\
        enum Kind { Late { pinned: u8 } }\n\
        trait Port { fn nowhere(); }\n\
        impl Kind { const BATCH: u8 = 1; fn came(&self) {} }\n\
        mod measures { type News = u8; }\n\
        const ROWS_PER_INSERT: u8 = 1;\n\
        const BATCH_SIZE: u8 = 1;\n";
    let found: Vec<(usize, String)> =
        Finder::read(text).found.into_iter().map(|(line, name, _)| (line, name)).collect();
    let expected = [
        (2, "MOST_ROWS"),
        (3, "KEPT"),
        (4, "LONGEST"),
        (4, "guarded"),
        (5, "Reached"),
        (5, "dangers"),
        (6, "Late"),
        (6, "pinned"),
        (7, "nowhere"),
        (8, "BATCH"),
        (8, "came"),
        (9, "News"),
        (9, "measures"),
        (10, "ROWS_PER_INSERT"),
    ];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
}

/// A word that is said to be better is not itself one that was replaced.
#[test]
fn no_better_word_was_replaced() {
    let replaced = replaced();
    for (old, better) in &replaced {
        for word in better.split(" or ") {
            assert!(!replaced.contains_key(word), "`{old}` leads to `{word}`");
        }
    }
}
