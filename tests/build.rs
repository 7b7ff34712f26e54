//! Writes each Rust snippet of the docs into a module of its own, as a reader would paste it, for `tests/docs`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The pages, and the folders of pages, from the root.
const PAGES: [&str; 6] =
    ["README.md", "README.ko.md", "deploy/README.md", "metrics-core/README.md", "docs", "docs/ko"];

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned();
    let mut modules = String::new();
    for page in pages(&root) {
        println!("cargo::rerun-if-changed={}", page.display());
        let text = fs::read_to_string(&page).unwrap();
        let from_root = page.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let name: String =
            from_root.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        for (number, snippet) in snippets(&text).into_iter().enumerate() {
            let module = module(&format!("{name}_{number}").to_lowercase(), &from_root, &snippet);
            modules.push_str(&module);
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("snippets.rs"), modules).unwrap();
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for page in PAGES.map(|page| root.join(page)) {
        if page.is_dir() {
            println!("cargo::rerun-if-changed={}", page.display());
            let entries = fs::read_dir(page).unwrap().map(|entry| entry.unwrap().path());
            pages
                .extend(entries.filter(|entry| entry.extension().is_some_and(|extension| extension == "md")));
        } else {
            pages.push(page);
        }
    }
    pages.sort();
    pages
}

/// The texts between fences of Rust.
fn snippets(page: &str) -> Vec<String> {
    let parts = page.split("\n```rust\n").skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned()).collect()
}

/// A snippet with its own `main` stays as it is. Another one goes into a function that may fail, where a monitor is at
/// hand, unless the snippet builds one.
fn module(name: &str, page: &str, snippet: &str) -> String {
    let mut module =
        format!("/// Of `{page}`.\n#[allow(unused, clippy::all, reason = \"as a reader would paste it\")]\n");
    writeln!(module, "mod {name} {{").unwrap();
    if snippet.contains("fn main()") {
        writeln!(module, "{snippet}").unwrap();
    } else {
        writeln!(module, "async fn pasted() -> Result<(), Box<dyn std::error::Error>> {{").unwrap();
        if snippet.contains("metrics.") && !snippet.contains("let metrics =") {
            writeln!(module, "let metrics = metrics_actix::Metrics::builder(\"orders\").build()?;").unwrap();
        }
        writeln!(module, "{snippet}\nOk(())\n}}").unwrap();
    }
    module.push_str("}\n\n");
    module
}
