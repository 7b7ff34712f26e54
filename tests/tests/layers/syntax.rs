//! What a file of Rust declares, and what its code names.

use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, Lit, Meta, Token, UseTree, Visibility};

/// A path as it is written, without its generic arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// Begins with `::`, so it starts at a crate.
    pub(crate) global: bool,
    pub(crate) names: Vec<String>,
}

/// What a name in a module stands for.
#[derive(Debug, Clone)]
pub(crate) enum Binding {
    /// Something that can be followed by `::`: a struct, an enum, a trait, an alias.
    Type,
    /// A function, a constant, a static or a macro.
    Value,
    /// A module with its body in the same file.
    Inline(Module),
    /// A module with a file of its own.
    File,
    /// Another name for a path.
    Use(Path),
}

/// How a path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In a private `use`, or in code.
    Import,
    /// In a `pub use`, of any visibility.
    ReExport,
}

/// A path that a module names.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) path: Path,
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

/// One module: the part that is in one file. Names and paths within functions count as the module's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Module {
    pub(crate) names: Vec<(String, Binding)>,
    /// The paths of glob imports.
    pub(crate) globs: Vec<Path>,
    pub(crate) references: Vec<Reference>,
    /// Child modules with a `#[path]`, which are not followed.
    pub(crate) elsewhere: Vec<String>,
}

/// Reads the text of a file.
pub(crate) fn parse(text: &str) -> syn::Result<Module> {
    let file = syn::parse_file(text)?;
    let mut module = Module::default();
    module.visit_file(&file);
    Ok(module)
}

impl Module {
    fn declare(&mut self, name: &Ident, binding: Binding) {
        self.names.push((name.to_string(), binding));
    }

    fn name(&mut self, path: Path, kind: Kind, line: usize) {
        self.references.push(Reference { path, kind, line });
    }

    fn import(&mut self, prefix: &Path, tree: &UseTree, kind: Kind) {
        match tree {
            UseTree::Path(path) => self.import(&prefix.then(&path.ident), &path.tree, kind),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(prefix, tree, kind)),
            UseTree::Glob(glob) => {
                self.globs.push(prefix.clone());
                self.name(prefix.clone(), kind, glob.star_token.span.start().line);
            }
            UseTree::Name(name) => self.import_as(prefix, &name.ident, &name.ident, kind),
            UseTree::Rename(name) => self.import_as(prefix, &name.ident, &name.rename, kind),
        }
    }

    fn import_as(&mut self, prefix: &Path, name: &Ident, rename: &Ident, kind: Kind) {
        let line = name.span().start().line;
        let (path, rename) = match prefix.names.last() {
            // `use a::b::{self}`
            Some(last) if name == "self" && rename == "self" => (prefix.clone(), last.clone()),
            Some(_) if name == "self" => (prefix.clone(), rename.to_string()),
            _ => (prefix.then(name), rename.to_string()),
        };
        self.names.push((rename, Binding::Use(path.clone())));
        self.name(path, kind, line);
    }

    /// The paths within a macro's arguments, and what the arguments seem to declare.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Option<(Path, usize)> = None;
        let mut colons = 0;
        let mut after_dot = false;
        let mut keyword = None;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    after_dot = false;
                    keyword = None;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    match (&mut path, colons) {
                        (Some((path, _)), 2) => path.names.push(name.clone()),
                        (ended, _) => {
                            let line = ident.span().start().line;
                            let new =
                                Path { global: ended.is_none() && colons == 2, names: vec![name.clone()] };
                            let ended = if after_dot { ended.take() } else { ended.replace((new, line)) };
                            if let Some((path, line)) = ended {
                                self.name(path, Kind::Import, line);
                            }
                        }
                    }
                    match keyword {
                        Some(Binding::Type) => self.declare(&ident, Binding::Type),
                        Some(_) => self.declare(&ident, Binding::Value),
                        None => {}
                    }
                    keyword = match &*name {
                        "struct" | "enum" | "union" | "trait" | "type" => Some(Binding::Type),
                        "fn" | "const" | "static" => Some(Binding::Value),
                        _ => None,
                    };
                }
                other => {
                    if let Some((path, line)) = path.take() {
                        self.name(path, Kind::Import, line);
                    }
                    after_dot = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '.');
                    keyword = None;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                    colons = 0;
                    continue;
                }
            }
            colons = 0;
            after_dot = false;
        }
        if let Some((path, line)) = path {
            self.name(path, Kind::Import, line);
        }
    }
}

impl Path {
    fn then(&self, name: &Ident) -> Self {
        let mut path = self.clone();
        path.names.push(name.to_string());
        path
    }

    fn of(path: &syn::Path) -> Self {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        Self { global: path.leading_colon.is_some(), names }
    }
}

/// Visits an item with attributes, unless these leave it out.
macro_rules! unless_left_out {
    ($($visit:ident: $node:ident,)*) => {
        $(fn $visit(&mut self, node: &'ast syn::$node) {
            if !left_out(&node.attrs) {
                visit::$visit(self, node);
            }
        })*
    };
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if left_out(attributes_of_item(item)) {
            return;
        }
        match item {
            Item::Mod(module) => {
                let Some((_, items)) = &module.content else {
                    if module.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
                        return self.elsewhere.push(module.ident.to_string());
                    }
                    return self.declare(&module.ident, Binding::File);
                };
                let mut inline = Module::default();
                items.iter().for_each(|item| inline.visit_item(item));
                return self.declare(&module.ident, Binding::Inline(inline));
            }
            Item::Use(item) => {
                let kind = match &item.vis {
                    Visibility::Inherited => Kind::Import,
                    Visibility::Restricted(to) if to.path.is_ident("self") => Kind::Import,
                    _ => Kind::ReExport,
                };
                let start = Path { global: item.leading_colon.is_some(), names: Vec::new() };
                return self.import(&start, &item.tree, kind);
            }
            Item::Struct(item) => self.declare(&item.ident, Binding::Type),
            Item::Enum(item) => self.declare(&item.ident, Binding::Type),
            Item::Union(item) => self.declare(&item.ident, Binding::Type),
            Item::Trait(item) => self.declare(&item.ident, Binding::Type),
            Item::TraitAlias(item) => self.declare(&item.ident, Binding::Type),
            Item::Type(item) => self.declare(&item.ident, Binding::Type),
            Item::Fn(item) => self.declare(&item.sig.ident, Binding::Value),
            Item::Const(item) => self.declare(&item.ident, Binding::Value),
            Item::Static(item) => self.declare(&item.ident, Binding::Value),
            Item::Macro(item) => item.ident.iter().for_each(|name| self.declare(name, Binding::Value)),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    unless_left_out! {
        visit_arm: Arm,
        visit_expr_assign: ExprAssign,
        visit_expr_block: ExprBlock,
        visit_expr_call: ExprCall,
        visit_expr_if: ExprIf,
        visit_expr_method_call: ExprMethodCall,
        visit_field: Field,
        visit_field_value: FieldValue,
        visit_impl_item_const: ImplItemConst,
        visit_impl_item_fn: ImplItemFn,
        visit_impl_item_type: ImplItemType,
        visit_local: Local,
        visit_stmt_macro: StmtMacro,
        visit_trait_item_const: TraitItemConst,
        visit_trait_item_fn: TraitItemFn,
        visit_trait_item_type: TraitItemType,
        visit_variant: Variant,
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
        self.name(Path::of(path), Kind::Import, line);
        visit::visit_path(self, path);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        // A constant in a pattern looks like a binding.
        if pattern.ident.to_string().starts_with(char::is_uppercase) {
            let path = Path { global: false, names: vec![pattern.ident.to_string()] };
            self.name(path, Kind::Import, pattern.ident.span().start().line);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.visit_path(&invocation.path);
        self.tokens(invocation.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // serde takes paths as strings: `#[serde(with = "crate::time")]`.
        if let Meta::List(list) = &attribute.meta
            && list.path.is_ident("serde")
        {
            for token in list.tokens.clone() {
                if let TokenTree::Literal(literal) = token
                    && let Lit::Str(text) = Lit::new(literal)
                    && let Ok(path) = text.parse()
                {
                    self.name(Path::of(&path), Kind::Import, text.span().start().line);
                }
            }
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in crate::a)` names a module, and imports nothing.
    }
}

fn attributes_of_item(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether attributes keep what they are on out of the product: a `cfg` that holds in tests, models or doc tests alone.
fn left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args().is_ok_and(|condition: Meta| holds(&condition) == Some(false))
    })
}

/// Whether a condition of a `cfg` holds outside tests; `None` where that depends on the platform or on features.
fn holds(condition: &Meta) -> Option<bool> {
    const OF_TESTS: [&str; 3] = ["test", "doctest", "metrics_loom"];
    let Meta::List(list) = condition else {
        let of_tests = OF_TESTS.iter().any(|name| condition.path().is_ident(name));
        return of_tests.then_some(false);
    };
    let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
    let parts: Vec<_> = list.parse_args_with(parse).ok()?.iter().map(holds).collect();
    let all_are = |value| parts.iter().all(|&part| part == Some(value));
    if list.path.is_ident("not") {
        parts.first().copied().flatten().map(|holds| !holds)
    } else if list.path.is_ident("all") {
        if parts.contains(&Some(false)) { Some(false) } else { all_are(true).then_some(true) }
    } else {
        if parts.contains(&Some(true)) { Some(true) } else { all_are(false).then_some(false) }
    }
}
