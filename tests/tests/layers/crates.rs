//! A crate as modules: which file each is in, and what the names in it stand for.

use std::collections::{BTreeMap, HashMap};

use crate::syntax::{self, Binding, Module, Path, Reference};

/// A module, by its number in [`Crate::modules`]. The root is the first one.
pub(crate) type Id = usize;

/// All modules of a library or of a binary, except those of its tests.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) modules: Vec<Scope>,
    /// Modules with a `#[path]`, each with the file that declares it. They are not followed.
    pub(crate) elsewhere: Vec<(String, String)>,
}

/// A module, with its children known.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) file: String,
    pub(crate) parent: Option<Id>,
    pub(crate) names: HashMap<String, Vec<Name>>,
    pub(crate) globs: Vec<Path>,
    pub(crate) references: Vec<Reference>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    Type,
    Value,
    Module(Id),
    Use(Path),
}

impl Crate {
    /// Reads the module tree that begins at the file `root`.
    ///
    /// # Panics
    ///
    /// If a file cannot be parsed, or a module has no file.
    pub(crate) fn read(files: &BTreeMap<String, String>, root: &str) -> Self {
        let mut this = Self::default();
        let directory = root.rsplit_once('/').map_or("", |(directory, _)| directory);
        this.add_file(files, root, directory, None);
        this
    }

    fn add_file(
        &mut self,
        files: &BTreeMap<String, String>,
        file: &str,
        directory: &str,
        parent: Option<Id>,
    ) -> Id {
        let text = &files[file];
        let module = syntax::parse(text).unwrap_or_else(|error| {
            panic!("{file}:{}: {error}", error.span().start().line);
        });
        self.add(files, file, directory, parent, module)
    }

    /// Adds a module and all below it. `directory` is where files of its children are.
    fn add(
        &mut self,
        files: &BTreeMap<String, String>,
        file: &str,
        directory: &str,
        parent: Option<Id>,
        module: Module,
    ) -> Id {
        let id = self.modules.len();
        let Module { names, globs, references, elsewhere } = module;
        self.elsewhere.extend(elsewhere.into_iter().map(|module| (file.to_owned(), module)));
        self.modules.push(Scope { file: file.to_owned(), parent, names: HashMap::new(), globs, references });
        for (name, binding) in names {
            let below = format!("{directory}/{name}");
            let meaning = match binding {
                Binding::Type => Name::Type,
                Binding::Value => Name::Value,
                Binding::Use(path) => Name::Use(path),
                Binding::Inline(module) => Name::Module(self.add(files, file, &below, Some(id), module)),
                Binding::File => {
                    let candidates = [format!("{below}.rs"), format!("{below}/mod.rs")];
                    let child = candidates.iter().find(|path| files.contains_key(*path));
                    let child = child.unwrap_or_else(|| panic!("{file}: no file for `mod {name};`"));
                    Name::Module(self.add_file(files, child, &below, Some(id)))
                }
            };
            self.modules[id].names.entry(name).or_default().push(meaning);
        }
        id
    }
}
