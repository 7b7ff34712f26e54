//! Links between pages lead to files and headings that exist.

use std::collections::BTreeSet;

use crate::pages::{all, prose, root};

/// The targets of the links of a page, also of pictures.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(page) {
        // Code spans have brackets of their own.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let attributes = ["src=\"", "srcset=\""].iter();
        let pictures =
            attributes.flat_map(|name| line.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
        targets.extend(links.chain(pictures).map(str::to_owned));
    }
    targets
}

/// The anchors that GitHub and mdBook make of the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.strip_prefix(' ')).flatten()
    });
    let anchor = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let pages = all();
    let mut broken = Vec::new();
    let mut checked = 0;
    for (name, page) in &pages {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in targets(page) {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in file.split('/').filter(|part| !part.is_empty()) {
                match part {
                    ".." => drop(path.pop()),
                    part => path.push(part),
                }
            }
            let path = if file.is_empty() { name.clone() } else { path.join("/") };
            if !root().join(&path).exists() {
                broken.push(format!("{name}: {target} is no file"));
            } else if !anchor.is_empty()
                && !pages.get(&path).is_some_and(|page| anchors(page).contains(anchor))
            {
                broken.push(format!("{name}: {target} is no heading"));
            }
        }
    }
    assert!(checked > 80, "{checked} links");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn links_and_anchors_are_read() {
    let page = "# Who may, and what\n[a](b.md#c) `[x](y)` <img src=\"p.png\">\n```\n[no](no.md)\n```\n";
    assert_eq!(targets(page), ["b.md#c", "p.png"]);
    assert_eq!(anchors(page), ["who-may-and-what".to_owned()].into());
}
