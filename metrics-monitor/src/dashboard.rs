//! Fourth floor: the dashboard. A page, its style and its scripts, compiled into the binary.

use std::sync::OnceLock;

use hmac_sha256::Hash;

/// One of the page's files, from the directory `dashboard`.
pub(crate) struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    made: OnceLock<Made>,
}

/// Computed when a file is first requested.
struct Made {
    etag: String,
    #[cfg(feature = "gzip")]
    packed: Vec<u8>,
}

impl File {
    const fn new(name: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { name, content_type, text, made: OnceLock::new() }
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| Made {
            etag: format!("\"{}\"", hex(&Hash::hash(self.text.as_bytes())[..8])),
            #[cfg(feature = "gzip")]
            packed: packed(self.text.as_bytes()),
        })
    }

    pub(crate) fn content_type(&self) -> &'static str {
        self.content_type
    }

    pub(crate) fn text(&self) -> &'static str {
        self.text
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

static PAGE: File = File::new("", "text/html; charset=utf-8", include_str!("dashboard/index.html"));

const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 15] = [
    File::new("style.css", "text/css; charset=utf-8", include_str!("dashboard/style.css")),
    File::new("icon.svg", "image/svg+xml", include_str!("dashboard/icon.svg")),
    File::new("main.js", SCRIPT, include_str!("dashboard/main.js")),
    File::new("business.js", SCRIPT, include_str!("dashboard/business.js")),
    File::new("server.js", SCRIPT, include_str!("dashboard/server.js")),
    File::new("charts.js", SCRIPT, include_str!("dashboard/charts.js")),
    File::new("exporters.js", SCRIPT, include_str!("dashboard/exporters.js")),
    File::new("fleet.js", SCRIPT, include_str!("dashboard/fleet.js")),
    File::new("heat.js", SCRIPT, include_str!("dashboard/heat.js")),
    File::new("limits.js", SCRIPT, include_str!("dashboard/limits.js")),
    File::new("scales.js", SCRIPT, include_str!("dashboard/scales.js")),
    File::new("panels.js", SCRIPT, include_str!("dashboard/panels.js")),
    File::new("dom.js", SCRIPT, include_str!("dashboard/dom.js")),
    File::new("format.js", SCRIPT, include_str!("dashboard/format.js")),
    File::new("words.js", SCRIPT, include_str!("dashboard/words.js")),
];

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
    fn the_page_names_only_existing_files_and_holds_no_inline_code() {
        let mut texts = FILES.iter().chain([&PAGE]).map(|file| file.text);
        assert!(texts.all(|text| !text.contains("innerHTML") && !text.contains("https://")));
        let page = PAGE.text;
        for link in page.split("dashboard/").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
        for import in FILES.iter().flat_map(|file| file.text.split(" from \"./").skip(1)) {
            let name = import.split('"').next().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
    }

    #[test]
    fn every_word_exists_in_both_languages() {
        let words = FILES.iter().find(|file| file.name == "words.js").unwrap().text;
        let (english, korean) = words.split_once("const korean = {").unwrap();
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            lines.filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect()
        };
        let korean = korean.split("\n};").next().unwrap();
        assert!(names(english).len() > 50);
        assert_eq!(names(english), names(korean));
    }
}
