//! The docs: their snippets compile, their links lead somewhere, and the Korean pages say what the English ones say.

mod korean;
mod links;
mod pages;

/// The Rust snippets of all pages, each in a module of its own. That they compile is the test.
mod snippets {
    include!(concat!(env!("OUT_DIR"), "/snippets.rs"));

    #[test]
    fn the_snippets_of_the_docs_are_found() {
        let snippets = include_str!(concat!(env!("OUT_DIR"), "/snippets.rs"));
        let of = |page: &str| snippets.matches(&format!("/// Of `{page}`.")).count();
        assert!(of("README.md") == 1 && of("docs/getting-started.md") >= 4 && of("docs/migrating.md") == 4);
        assert!(snippets.matches("/// Of `docs/").count() >= 15);
    }
}
