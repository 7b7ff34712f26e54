//! A small parser of both text formats. It is as strict as their specifications and shares no code with the writer.

use std::collections::BTreeMap;

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// One family: its metadata and its samples.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// Returns all families by the names in their metadata lines. Panics if the text is malformed.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line has no line feed");
    let mut lines = text.split('\n').filter(|line| !line.is_empty());
    for line in lines.by_ref() {
        if line == "# EOF" {
            break;
        }
        if let Some(about) = line.strip_prefix("# ") {
            let mut words = about.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if name != current {
                assert!(!families.contains_key(name), "{name} occurs twice");
                current = name.to_owned();
            }
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "{line} follows a sample");
            match what {
                "HELP" => family.help = unescape(rest),
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => family.unit = Some(rest.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = sample(line);
        assert!(sample.name.starts_with(&current), "{line} does not belong to {current}");
        families.get_mut(&current).unwrap().samples.push(sample);
    }
    assert_eq!(lines.next(), None, "something follows the EOF");
    families
}

fn sample(line: &str) -> Sample {
    let name_ends = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap();
    let (name, mut rest) = line.split_at(name_ends);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"").unwrap();
            assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{label}");
            let mut escaped = false;
            let ends = quoted
                .find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })
                .unwrap();
            let before = labels.insert(label.to_owned(), unescape(&quoted[..ends]));
            assert_eq!(before, None, "{label} occurs twice in {line}");
            rest = &quoted[ends + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    Sample { name: name.to_owned(), labels, value }
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{other:?} is escaped in {text:?}"),
            },
            c => c,
        });
    }
    plain
}
