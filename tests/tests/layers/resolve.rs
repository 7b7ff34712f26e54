//! From the paths in a file's code to the files that define what they name.

use std::collections::{BTreeMap, BTreeSet};

use crate::crates::{Crate, Id, Name};
use crate::syntax::{Kind, Path};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Something that can be followed by `::`, defined in this module.
    Type(Id),
    /// A function, a constant, a static or a macro, defined in this module.
    Value(Id),
    Module(Id),
}

/// For each file, the files that it imports: the paths that lead there, each with its first line.
pub(crate) type Imports = BTreeMap<String, BTreeMap<String, BTreeMap<String, usize>>>;

/// Longer chains of re-exports count as endless.
const LONGEST_CHAIN: usize = 32;

/// Which files of a crate import which.
pub(crate) fn imports(code: &Crate) -> Imports {
    let mut imports = Imports::new();
    for (id, scope) in code.modules.iter().enumerate() {
        for reference in &scope.references {
            for target in code.resolve(id, &reference.path) {
                let (Target::Type(definer) | Target::Value(definer)) = target else { continue };
                let defined_in = &code.modules[definer].file;
                // A parent that only re-exports what its children define does not use it.
                let handed_on = reference.kind == Kind::ReExport && code.is_below(definer, id);
                if *defined_in != scope.file && !handed_on {
                    let of_file = imports.entry(scope.file.clone()).or_default();
                    let paths = of_file.entry(defined_in.clone()).or_default();
                    paths.entry(reference.path.names.join("::")).or_insert(reference.line);
                }
            }
        }
    }
    imports
}

/// The paths that begin within the crate and lead nowhere: the resolver does not understand them.
pub(crate) fn unresolved(code: &Crate) -> Vec<String> {
    let references =
        code.modules.iter().enumerate().flat_map(|(id, scope)| {
            scope.references.iter().map(move |reference| (id, &scope.file, reference))
        });
    let within = references.filter(|(_, _, reference)| {
        let first = reference.path.names.first().map(String::as_str);
        reference.path.names.len() > 1 && matches!(first, Some("crate" | "self" | "super"))
    });
    let unresolved = within.filter(|(id, _, reference)| code.resolve(*id, &reference.path).is_empty());
    let lines = unresolved.map(|(_, file, reference)| {
        format!("{file}:{}: {}", reference.line, reference.path.names.join("::"))
    });
    lines.collect()
}

impl Crate {
    fn is_below(&self, mut module: Id, ancestor: Id) -> bool {
        loop {
            match self.modules[module].parent {
                Some(parent) if parent == ancestor => return true,
                Some(parent) => module = parent,
                None => return false,
            }
        }
    }

    /// What a path in a module leads to; nothing if it leads to another crate.
    fn resolve(&self, module: Id, path: &Path) -> BTreeSet<Target> {
        self.resolve_within(module, path, LONGEST_CHAIN)
    }

    fn resolve_within(&self, module: Id, path: &Path, depth: usize) -> BTreeSet<Target> {
        if path.global || depth == 0 {
            return BTreeSet::new();
        }
        let mut start = None;
        let mut rest = &path.names[..];
        while let Some((name, after)) = rest.split_first() {
            start = match &**name {
                "crate" => Some(0),
                "self" => start.or(Some(module)),
                "super" => self.modules[start.unwrap_or(module)].parent,
                _ => break,
            };
            rest = after;
        }
        match (start, rest.split_first()) {
            (Some(start), _) => self.follow(Target::Module(start), rest, depth),
            (None, Some((name, rest))) => {
                let first = self.lookup(module, name, depth);
                first.into_iter().flat_map(|target| self.follow(target, rest, depth)).collect()
            }
            (None, None) => BTreeSet::new(),
        }
    }

    /// What the rest of a path leads to from one of its segments.
    fn follow(&self, from: Target, rest: &[String], depth: usize) -> BTreeSet<Target> {
        let Some((name, rest)) = rest.split_first() else { return BTreeSet::from([from]) };
        match from {
            // What follows is associated with the type.
            Target::Type(_) => BTreeSet::from([from]),
            Target::Value(_) => BTreeSet::new(),
            Target::Module(module) => {
                let next = self.lookup(module, name, depth);
                next.into_iter().flat_map(|target| self.follow(target, rest, depth)).collect()
            }
        }
    }

    /// What a name stands for in a module, also by its globs.
    fn lookup(&self, module: Id, name: &str, depth: usize) -> BTreeSet<Target> {
        if depth == 0 {
            return BTreeSet::new();
        }
        let scope = &self.modules[module];
        let Some(meanings) = scope.names.get(name) else {
            let globs = scope.globs.iter().flat_map(|glob| self.resolve_within(module, glob, depth - 1));
            let modules: BTreeSet<_> = globs.collect();
            let of_module = |target| match target {
                Target::Module(other) if other != module => self.lookup(other, name, depth - 1),
                _ => BTreeSet::new(),
            };
            return modules.into_iter().flat_map(of_module).collect();
        };
        let of_meaning = |meaning: &Name| match meaning {
            Name::Type => BTreeSet::from([Target::Type(module)]),
            Name::Value => BTreeSet::from([Target::Value(module)]),
            Name::Module(child) => BTreeSet::from([Target::Module(*child)]),
            Name::Use(path) => {
                let found = if path.names.first().is_some_and(|first| first == name) {
                    self.use_of_same_name(module, name, path, depth)
                } else {
                    self.resolve_within(module, path, depth - 1)
                };
                // From another crate: the file with the `use` counts as the one that defines the name.
                if found.is_empty() { BTreeSet::from([Target::Type(module)]) } else { found }
            }
        };
        meanings.iter().flat_map(of_meaning).collect()
    }

    /// What `use name::...` leads to, if it binds `name` itself: the first segment is a child module or a crate.
    fn use_of_same_name(&self, module: Id, name: &str, path: &Path, depth: usize) -> BTreeSet<Target> {
        let meanings = self.modules[module].names[name].iter();
        let children = meanings.filter_map(|meaning| match meaning {
            Name::Module(child) => Some(*child),
            _ => None,
        });
        children.flat_map(|child| self.follow(Target::Module(child), &path.names[1..], depth - 1)).collect()
    }
}
