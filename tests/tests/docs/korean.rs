//! The Korean pages against the English ones: the same commands, code and names of fields.

use std::collections::BTreeSet;

use crate::pages::{all, prose, read};

/// Each Korean page, and the English pages that say the same.
const PAGES: [(&str, &[&str]); 2] = [
    ("README.ko.md", &["README.md", "docs/endpoints.md"]),
    ("docs/ko/getting-started.md", &["docs/getting-started.md", "docs/migrating.md", "docs/endpoints.md"]),
];

/// What is between fences.
fn code(page: &str) -> Vec<&str> {
    page.split("\n```").skip(1).step_by(2).collect()
}

/// What is between backquotes, outside of fences.
fn names(page: &str) -> BTreeSet<String> {
    let text = prose(page).collect::<Vec<_>>().join("\n");
    text.split('`').skip(1).step_by(2).map(|name| name.replace('\n', " ")).collect()
}

#[test]
fn korean_pages_have_the_code_and_the_names_of_the_english_ones() {
    let every_page = all().into_iter().filter(|(name, _)| !PAGES.iter().any(|(korean, _)| korean == name));
    let every_page: Vec<_> = every_page.map(|(_, page)| page).collect();
    for (korean, english) in PAGES {
        let page = read(korean);
        let english: Vec<_> = english.iter().map(|page| read(page)).collect();
        let known: Vec<_> = english.iter().flat_map(|page| code(page)).collect();
        assert!(code(&page).len() >= 3, "{korean}");
        for code in code(&page) {
            assert!(known.contains(&code), "{korean} has code that no English page has:\n{code}");
        }
        let names = names(&page);
        assert!(names.len() >= 15, "{korean}: {names:?}");
        for name in names {
            assert!(every_page.iter().any(|page| page.contains(&name)), "{korean} names {name}");
        }
    }
}

/// The ranges of nanoseconds in a page, in their order: `100 to 280 ns` or `100~280 ns`.
fn ranges(page: &str) -> BTreeSet<String> {
    let page = page.replace(" to ", "~");
    let words = page.split_whitespace().collect::<Vec<_>>();
    let pairs = words.windows(2).filter(|pair| pair[1].starts_with("ns") && pair[0].contains('~'));
    pairs.map(|pair| pair[0].trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned()).collect()
}

#[test]
fn korean_pages_have_the_figures_of_the_english_ones() {
    let english = read("README.md");
    assert!(ranges(&english).len() == 2 && ranges(&english) == ranges(&read("README.ko.md")));
    let figures: Vec<_> = english
        .lines()
        .filter(|line| line.starts_with("| this") || line.starts_with("| `actix-web-prom`"))
        .collect();
    assert_eq!(figures.len(), 2);
    let korean = read("README.ko.md");
    for figure in figures {
        let numbers: Vec<_> = figure.split('|').skip(2).collect();
        assert!(korean.contains(&numbers.join("|")), "README.ko.md is without {figure}");
    }
}
