//! Fourth floor: the dashboard. A page, its style and its scripts, compiled into the binary.

use std::sync::OnceLock;

use hmac_sha256::Hash;

/// One of the page's files, from the directory `dashboard`.
pub(crate) struct File {
    name: &'static str,
    content_type: &'static str,
    /// The text, or the modules of the script.
    parts: &'static [&'static str],
    made: OnceLock<Made>,
}

/// Computed when a file is first requested.
struct Made {
    text: String,
    etag: String,
    #[cfg(feature = "gzip")]
    packed: Vec<u8>,
}

impl File {
    const fn new(name: &'static str, content_type: &'static str, parts: &'static [&'static str]) -> Self {
        Self { name, content_type, parts, made: OnceLock::new() }
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| {
            let text = if self.content_type == SCRIPT { bundled(self.parts) } else { self.parts.concat() };
            Made {
                etag: format!("\"{}\"", hex(&Hash::hash(text.as_bytes())[..8])),
                #[cfg(feature = "gzip")]
                packed: packed(text.as_bytes()),
                text,
            }
        })
    }

    pub(crate) fn content_type(&self) -> &'static str {
        self.content_type
    }

    pub(crate) fn text(&'static self) -> &'static str {
        &self.made().text
    }

    /// The entity tag, in quotes: a hash of the text.
    pub(crate) fn etag(&'static self) -> &'static str {
        &self.made().etag
    }

    /// The text with gzip, if the feature is on.
    pub(crate) fn packed(&'static self) -> Option<&'static [u8]> {
        #[cfg(feature = "gzip")]
        return Some(&self.made().packed);
        #[cfg(not(feature = "gzip"))]
        None
    }
}

static PAGE: File = File::new("", "text/html; charset=utf-8", &[include_str!("dashboard/index.html")]);

const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 3] = [
    File::new("style.css", "text/css; charset=utf-8", &[include_str!("dashboard/style.css")]),
    File::new("icon.svg", "image/svg+xml", &[include_str!("dashboard/icon.svg")]),
    File::new("main.js", SCRIPT, &MODULES),
];

/// The modules of the script. Each imports only from those before it.
static MODULES: [&str; 27] = [
    include_str!("dashboard/english.js"),
    include_str!("dashboard/korean.js"),
    include_str!("dashboard/words.js"),
    include_str!("dashboard/dom.js"),
    include_str!("dashboard/format.js"),
    include_str!("dashboard/choice.js"),
    include_str!("dashboard/download.js"),
    include_str!("dashboard/scales.js"),
    include_str!("dashboard/limits.js"),
    include_str!("dashboard/server.js"),
    include_str!("dashboard/reset.js"),
    include_str!("dashboard/axis.js"),
    include_str!("dashboard/chart.js"),
    include_str!("dashboard/lines.js"),
    include_str!("dashboard/heat.js"),
    include_str!("dashboard/figures.js"),
    include_str!("dashboard/panels.js"),
    include_str!("dashboard/causes.js"),
    include_str!("dashboard/business.js"),
    include_str!("dashboard/exporters.js"),
    include_str!("dashboard/fleet.js"),
    include_str!("dashboard/trend.js"),
    include_str!("dashboard/state.js"),
    include_str!("dashboard/view.js"),
    include_str!("dashboard/tables.js"),
    include_str!("dashboard/load.js"),
    include_str!("dashboard/main.js"),
];

/// The modules as one script, so that the page loads with one request instead of one for each, which may all be lines
/// in the service's log. They share one scope, so no two may define the same name at their top level.
fn bundled(modules: &[&str]) -> String {
    let lines = modules.iter().flat_map(|module| module.lines()).filter(|line| !line.starts_with("import "));
    lines.flat_map(|line| [line.strip_prefix("export ").unwrap_or(line), "\n"]).collect()
}

/// The page itself.
pub(crate) fn page() -> &'static File {
    &PAGE
}

/// A file of the page.
pub(crate) fn file(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// These bytes, compressed as well as possible.
#[cfg(feature = "gzip")]
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    metrics_export::gzip::gzip(bytes, metrics_export::gzip::Level::Best, &mut packed);
    packed
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "gzip")]
    fn the_page_and_all_its_files_are_small() {
        let sizes = FILES.iter().chain([&PAGE]).map(|file| (file.name, file.made().packed.len()));
        let sizes: Vec<_> = sizes.collect();
        println!("{sizes:?}");
        assert!(sizes.iter().map(|(_, size)| size).sum::<usize>() <= 60 << 10, "{sizes:?}");
    }

    #[test]
    fn the_page_names_only_existing_files_and_holds_no_code_but_what_appends_the_slash() {
        let mut texts = FILES.iter().chain([&PAGE]).map(File::text);
        assert!(texts.all(|text| !text.contains("innerHTML") && !text.contains("https://")));
        let page = PAGE.text();
        for link in page.split("dashboard/").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
        // The one script in the page is the one that its policy allows.
        let files = page.matches("<script type=\"module\" src=").count();
        assert_eq!((page.matches("<script").count(), page.matches("<script>").count()), (files + 1, 1));
    }

    #[test]
    fn each_module_imports_only_from_modules_before_it_in_one_line_each() {
        let exported = |module: &str, name: &str| {
            let kinds = ["function", "async function", "class", "const", "let"];
            kinds.iter().any(|kind| {
                let begin = format!("export {kind} {name}");
                module.lines().any(|line| {
                    let rest = line.strip_prefix(&begin);
                    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                })
            })
        };
        for (i, module) in MODULES.iter().enumerate() {
            for line in module.lines().filter(|line| line.starts_with("import")) {
                let names = line.strip_prefix("import { ").and_then(|line| line.split_once(" } from \"./"));
                let (names, _) = names.unwrap_or_else(|| panic!("{line}"));
                assert!(line.ends_with(".js\";"), "{line}");
                for name in names.split(", ") {
                    assert!(MODULES[..i].iter().any(|module| exported(module, name)), "{name}: {line}");
                }
            }
            assert!(!module.contains("import(") && !module.contains("export default"));
        }
    }

    #[test]
    fn no_two_modules_define_the_same_name() {
        let script = bundled(&MODULES);
        assert!(!script.contains("\nimport ") && !script.contains("\nexport "));
        let mut names = std::collections::BTreeSet::new();
        for line in script.lines() {
            let line = line.strip_prefix("async ").unwrap_or(line);
            let kinds = ["function ", "class ", "const ", "let "];
            let Some(defined) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else { continue };
            let ends = |c: char| !(c.is_alphanumeric() || "_, ".contains(c));
            let defined = defined.trim_start_matches(['[', '{', ' ']).split(ends).next().unwrap();
            // `const [a, b] = ..` defines two.
            for name in defined.split(',').filter_map(|name| name.split_whitespace().next()) {
                assert!(names.insert(name.to_owned()), "{name} is defined twice: {line}");
            }
        }
        assert!(names.len() > 100, "{names:?}");
    }

    #[test]
    fn an_open_page_repeats_at_most_twenty_requests_a_minute() {
        let script = bundled(&MODULES);
        let number = |text: &str| text.trim_end_matches(';').replace('_', "").parse::<u64>().unwrap();
        let constant = |name: &str| {
            let pairs = script.lines().filter_map(|line| line.strip_prefix("const ")?.split_once(" = "));
            let mut pairs = pairs.flat_map(|(names, values)| {
                let names = names.trim_matches(['[', ']']).split(", ");
                names.zip(values.trim_end_matches(';').trim_matches(['[', ']']).split(", "))
            });
            number(pairs.find(|(known, _)| *known == name).unwrap().1)
        };
        // All that repeats: the connection for events, the charts, and the figures of a fleet.
        assert_eq!(script.matches(" = repeat(").count(), 3);
        let connections = 60_000 / crate::endpoints::events::LIFETIME.as_millis() as u64;
        let repeated = ["TRENDS", "FLEET"].map(|repeated| 60_000 / constant(repeated));
        assert!(connections + repeated.iter().sum::<u64>() <= 20, "{repeated:?}");
        // Sparklines wait for room.
        assert!(constant("SPARE") <= 20);
    }

    #[test]
    fn every_word_exists_in_both_languages() {
        let [english, korean] = [MODULES[0], MODULES[1]];
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            let names = lines.filter_map(|line| Some(line.split_once(": ")?.0.to_owned()));
            // The sentence of a mistake comes from the server in English.
            names.filter(|name| !name.starts_with("  mistake_")).collect()
        };
        let object = |text: &str| text.split("\n};").next().unwrap().to_owned();
        let (_, english) = english.split_once("const english = {").unwrap();
        let (_, korean) = korean.split_once("const korean = {").unwrap();
        let (english, korean) = (&object(english), &object(korean));
        assert!(names(english).len() > 50);
        assert_eq!(names(english), names(korean));
    }
}
