//! Links and files that the pages name exist.

use std::fs;

use super::{between, root};

/// Every relative link of the documentation leads to a file, and to a heading where it names one.
#[test]
fn links_lead_somewhere() {
    let mut pages = vec![];
    for name in fs::read_dir(root())
        .unwrap()
        .chain(fs::read_dir(root().join("docs")).unwrap())
        .chain(fs::read_dir(root().join("docs/reference")).unwrap())
    {
        pages.push(name.unwrap().path());
    }
    pages.retain(|path| path.extension().is_some_and(|end| end == "md"));
    assert!(pages.len() > 15);
    for path in pages {
        let text = fs::read_to_string(&path).unwrap();
        for link in between(&text, "](", ')') {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let headings: Vec<String> =
                    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
                assert!(
                    headings.iter().any(|known| known == heading),
                    "{}: {link}: {headings:?}",
                    path.display()
                );
            }
        }
    }
}

/// Files that the pages name in backticks exist, so that a recipe does not go stale.
#[test]
fn named_files_exist() {
    let folders = [
        "src/",
        "tests/",
        "docs/",
        "policies/",
        "entity/",
        "migration/",
        "templates/",
        "locales/",
        "examples/",
        "benches/",
        "packaging/",
        "xtask/",
        "web/src/",
    ];
    let mut named = 0;
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md", "docs", "docs/reference"] {
        let path = root().join(name);
        let pages = match path.is_dir() {
            true => fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file())
                .collect(),
            false => vec![path],
        };
        for page in pages {
            let text = fs::read_to_string(&page).unwrap();
            let prose = text.split("```").step_by(2).collect::<String>();
            for word in prose.split('`').skip(1).step_by(2) {
                let is_path = folders.iter().any(|folder| word.starts_with(folder));
                if is_path && !word.contains(['<', '*', '{', ' ', '…']) {
                    named += 1;
                    assert!(
                        root().join(word).exists(),
                        "{} names `{word}`, which is not there",
                        page.display()
                    );
                }
            }
        }
    }
    assert!(named > 50, "only {named} files are named");
}

/// Who comes first reads the README to its end.
#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 120, "README.md has {lines} lines; move details to docs/");
}

/// The anchor that a forge gives to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
