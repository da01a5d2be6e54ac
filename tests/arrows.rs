//! Which file of the server imports which: read by `syn` from everything that names a module, whether in a `use` or in a path. Tests within
//! the sources do not count.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use crate::floors;

/// The names of a path, e.g. `["crate", "audit", "begin"]`.
type Path = Vec<String>;

/// Where each file leads to.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What a file names.
#[derive(Default)]
struct Named {
    paths: Vec<Path>,
    /// Names that it brings into its scope, and whether others may take them from there.
    brought: Vec<(String, Path, bool)>,
    /// Types, constants and functions that are named by themselves.
    alone: BTreeSet<String>,
}

impl Named {
    fn read(text: &str) -> Self {
        let mut file = syn::parse_file(text).unwrap();
        file.items.retain(|item| !is_test(item));
        let mut named = Self::default();
        named.walk(file.to_token_stream());
        named
    }

    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut public = false;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(word) if word == "pub" => {
                    public = true;
                    // `pub(in crate::http)` imports nothing.
                    at += usize::from(is_group(tokens.get(at), Delimiter::Parenthesis));
                    continue;
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = tokens[at..].iter().position(is_semicolon).map_or(tokens.len(), |end| at + end);
                    self.tree(&tokens[at..end], &Path::new(), public);
                    at = end;
                }
                TokenTree::Ident(word) => {
                    let mut path = vec![word.to_string()];
                    while is_colons(&tokens[at..])
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 2)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    // Neither fields nor methods, nor what is made here.
                    let called =
                        is_group(tokens.get(at), Delimiter::Parenthesis) && !is_own(&tokens[..at - 1]);
                    if called || word.to_string().starts_with(char::is_uppercase) {
                        self.alone.insert(word.to_string());
                    }
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                }
                TokenTree::Group(group) => self.walk(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            public = false;
        }
    }

    /// A tree of `use`, behind `before`.
    fn tree(&mut self, tokens: &[TokenTree], before: &Path, public: bool) {
        let mut path = before.clone();
        let mut name = None;
        let mut renamed = false;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if word == "as" => renamed = true,
                TokenTree::Ident(word) if renamed => name = Some(word.to_string()),
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                        self.tree(part, &path, public);
                    }
                    return;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        let name = name.or_else(|| path.last().cloned()).unwrap();
        self.brought.push((name, path.clone(), public));
        self.paths.push(path);
    }
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.to_token_stream().to_string().contains("(test)")
    })
}

/// Whether a method is called behind `before`, or a function is declared.
fn is_own(before: &[TokenTree]) -> bool {
    is_punct(before.last(), '.') || matches!(before.last(), Some(TokenTree::Ident(word)) if word == "fn")
}

fn is_group(token: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    is_punct(tokens.first(), ':') && is_punct(tokens.get(1), ':')
}

fn is_semicolon(token: &TokenTree) -> bool {
    is_punct(Some(token), ';')
}

fn is_comma(token: &TokenTree) -> bool {
    is_punct(Some(token), ',')
}

/// The module that a file is.
fn module(file: &str) -> Path {
    let path = file.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let of_crate = path == "lib" || path == "main";
    if of_crate { Path::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The files, by their modules.
struct Modules(BTreeMap<Path, String>);

impl Modules {
    /// The deepest module that `path`, named in `base`, leads into, and what is named of it.
    fn resolve(&self, base: &Path, path: &[String]) -> Option<(Path, Path)> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Path::new(), &path[1..]),
            "self" => (base.clone(), &path[1..]),
            "super" => (base.clone(), path),
            child => {
                let child = [base.as_slice(), &[child.to_owned()]].concat();
                (self.0.contains_key(&child).then(|| base.clone())?, path)
            }
        };
        while rest.first().is_some_and(|name| name == "super") {
            at.pop();
            rest = &rest[1..];
        }
        while let Some(name) = rest.first() {
            let next = [at.as_slice(), std::slice::from_ref(name)].concat();
            if !self.0.contains_key(&next) {
                break;
            }
            at = next;
            rest = &rest[1..];
        }
        Some((at, rest.to_vec()))
    }
}

/// Reads all sources.
pub fn arrows() -> Arrows {
    Sources::of(&floors::all()).arrows()
}

/// What each file names, by its path within `src`.
pub struct Sources(BTreeMap<String, Named>);

impl Sources {
    /// Reads `files`, each by its path and its text.
    pub fn of(files: &[(String, String)]) -> Self {
        Self(files.iter().map(|(file, text)| (file.clone(), Named::read(text))).collect())
    }

    /// Reads `text` as that of `file`.
    pub fn put(&mut self, file: &str, text: &str) {
        self.0.insert(file.to_owned(), Named::read(text));
    }

    /// Which file imports which.
    pub fn arrows(&self) -> Arrows {
        arrows_of(&self.0)
    }
}

fn arrows_of(named: &BTreeMap<String, Named>) -> Arrows {
    // The binary is a crate of its own, and nobody imports it.
    let library = named.keys().filter(|file| *file != "main.rs");
    let modules = Modules(library.map(|file| (module(file), file.clone())).collect());
    // Names that a module gives on from others.
    let mut given: BTreeMap<(Path, String), Path> = BTreeMap::new();
    for (file, named) in named {
        let base = module(file);
        for (name, path, _) in named.brought.iter().filter(|(.., public)| *public) {
            if let Some((from, rest)) = modules.resolve(&base, path)
                && !rest.is_empty()
            {
                given.insert((base.clone(), name.clone()), from);
            }
        }
    }
    let mut arrows = Arrows::new();
    for (file, named) in named {
        let base = module(file);
        let scope: BTreeMap<&String, &Path> =
            named.brought.iter().map(|(name, path, _)| (name, path)).collect();
        let given_on: BTreeMap<&Path, &str> = named
            .brought
            .iter()
            .filter(|(.., public)| *public)
            .map(|(name, path, _)| (path, name.as_str()))
            .collect();
        let to = arrows.entry(file.clone()).or_default();
        for path in &named.paths {
            // The face of a folder names what is in it for others, and needs nothing of it by that, unless it uses the name itself.
            let is_face = given_on.get(path).is_some_and(|name| !named.alone.contains(*name));
            let known = scope.get(&path[0]).filter(|known| known.as_slice() != [path[0].clone()]);
            let path = match known {
                Some(known) if !matches!(path[0].as_str(), "crate" | "self" | "super") => {
                    [known.as_slice(), &path[1..]].concat()
                }
                _ => path.clone(),
            };
            let Some((mut at, rest)) = modules.resolve(&base, &path) else { continue };
            if is_face && at.starts_with(&base) {
                continue;
            }
            // Named by a face: what counts is where it is.
            while let Some(from) = rest.first().and_then(|name| given.get(&(at.clone(), name.clone())))
                && *from != at
            {
                at.clone_from(from);
            }
            if let Some(other) = modules.0.get(&at).filter(|other| *other != file) {
                to.insert(other.clone());
            }
        }
    }
    arrows
}

/// Files that lead to each other and back, each set in the order of its names.
pub fn circles(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let reach = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            for next in arrows.get(file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        arrows.keys().map(|file| (file, reach(file))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (file, to) in &reached {
        if !to.contains(*file) || circles.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let back = |other: &&String| reached.get(other).is_some_and(|reached| reached.contains(*file));
        circles.push(to.iter().filter(back).cloned().collect());
    }
    circles
}

#[test]
fn arrows_are_read_as_the_compiler_reads_them() {
    let arrows = arrows();
    let leads = |from: &str, to: &str| arrows[from].contains(to);
    // By a list, through a face, by a path in a body, by a name that was brought in, by a face that uses what it gives on.
    assert!(leads("exchange/imports/writer.rs", "exchange/imports/objection_recorder.rs"));
    assert!(leads("domain/operations/new_contacts.rs", "audit/diff.rs"));
    assert!(leads("http/graphiql.rs", "http/response.rs"));
    assert!(leads("http/pages/mod.rs", "http/pages/account.rs"));
    assert!(leads("exchange/imports/consents/mod.rs", "exchange/imports/contact_lookup.rs"));
    assert!(leads("registry/mod.rs", "registry/contact.rs"));
    // What a face gives on, and who may see something, is no import; tests within a file are none.
    assert!(!leads("domain/suppressions/mod.rs", "domain/suppressions/reviews.rs"));
    assert!(!leads("http/socket/connection_limits.rs", "http/mod.rs"));
    let edges: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(edges > 1_500, "only {edges} arrows were seen");
    let circle = |pairs: &[(&str, &str)]| {
        let mut arrows = Arrows::new();
        for (from, to) in pairs {
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circles(&arrows).len()
    };
    assert_eq!(circle(&[("a", "b"), ("b", "c")]), 0);
    assert_eq!(circle(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "e"), ("e", "d"), ("e", "a")]), 2);
}

/// No two files lead to each other and back: what a file needs can be read without those that need it.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles(&arrows());
    assert!(circles.is_empty(), "these files import each other in circles: {circles:#?}");
}
