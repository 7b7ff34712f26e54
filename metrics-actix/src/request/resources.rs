//! The tree of an app's resources, as actix-web's map of them shows it.
//!
//! The map has its patterns in its `Debug` alone. That text is read strictly: if a version of actix-web writes another
//! one, there is no tree.

use actix_web::dev::ResourceMap;

/// A scope, or a resource or another service in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) name: Option<String>,
    pub(crate) patterns: Vec<String>,
    /// Whether it also takes the paths below its own.
    pub(crate) is_prefix: bool,
    /// `None` if it is no scope.
    pub(crate) children: Option<Vec<Self>>,
}

impl Resource {
    /// The root of an app's resources.
    pub(crate) fn root(map: &ResourceMap) -> Option<Self> {
        Self::of_text(&format!("{map:?}"))
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut text = Text(text);
        let root = Self::read(&mut text)?;
        text.0.is_empty().then_some(root)
    }

    fn read(text: &mut Text<'_>) -> Option<Self> {
        text.expect("ResourceMap { pattern: ResourceDef { id: ")?;
        text.skip()?;
        text.expect(", name: ")?;
        let name = text.optional(Text::string)?;
        text.expect(", patterns: ")?;
        let patterns = if text.expect("Single(").is_some() {
            vec![text.string()?]
        } else {
            text.expect("List(")?;
            text.list(Text::string)?
        };
        text.expect("), is_prefix: ")?;
        let is_prefix = text.expect("true").is_some();
        if !is_prefix {
            text.expect("false")?;
        }
        text.expect(", pat_type: ")?;
        text.skip()?;
        text.expect(", segments: ")?;
        text.skip()?;
        text.expect(" }, named: ")?;
        text.skip()?;
        text.expect(", parent: ")?;
        text.skip()?;
        text.expect(", nodes: ")?;
        let children = text.optional(|text| text.list(Self::read))?;
        text.expect(" }")?;
        Some(Self { name, patterns, is_prefix, children })
    }
}

/// The rest of a text that a derived `Debug` wrote. Each step returns `None` if the text is another one.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn expect(&mut self, what: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(what)?;
        Some(())
    }

    fn optional<T>(&mut self, value: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.expect("None").is_some() {
            return Some(None);
        }
        self.expect("Some(")?;
        let value = value(self)?;
        self.expect(")")?;
        Some(Some(value))
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.expect("[")?;
        let mut items = Vec::new();
        while self.expect("]").is_none() {
            if !items.is_empty() {
                self.expect(", ")?;
            }
            items.push(item(self)?);
        }
        Some(items)
    }

    fn string(&mut self) -> Option<String> {
        self.expect("\"")?;
        let (mut text, mut rest) = (String::new(), self.0.chars());
        loop {
            text.push(match rest.next()? {
                '"' => break,
                '\\' => match rest.next()? {
                    't' => '\t',
                    'r' => '\r',
                    'n' => '\n',
                    '0' => '\0',
                    quoted @ ('\'' | '"' | '\\') => quoted,
                    'u' => {
                        let (code, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                        rest = after.chars();
                        char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                    }
                    _ => return None,
                },
                plain => plain,
            });
        }
        self.0 = rest.as_str();
        Some(text)
    }

    /// Skips a value of any kind.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.0.chars().next()? {
                '"' => {
                    self.string()?;
                    continue;
                }
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth > 0 => depth -= 1,
                ',' | ')' | ']' | '}' if depth == 0 => return Some(()),
                // The space before the brace that ends a struct.
                ' ' if depth == 0 && self.0.starts_with(" }") => return Some(()),
                _ => {}
            }
            let first = self.0.chars().next()?.len_utf8();
            self.0 = &self.0[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpRequest, HttpResponse, web};

    use super::*;

    /// `(patterns, is_prefix, name, number of children)`.
    type Flat<'a> = (Vec<&'a str>, bool, Option<&'a str>, Option<usize>);

    /// All resources, in the order of the map.
    fn flat(resource: &Resource) -> Vec<Flat<'_>> {
        let Resource { name, patterns, is_prefix, children } = resource;
        let patterns = patterns.iter().map(String::as_str).collect();
        let own = (patterns, *is_prefix, name.as_deref(), children.as_ref().map(Vec::len));
        std::iter::once(own).chain(children.iter().flatten().flat_map(flat)).collect()
    }

    /// CI runs this with the oldest actix-web that the crate takes, too.
    #[actix_web::test]
    async fn the_map_of_an_app_is_read_as_it_was_built() {
        let odd = "/a\"b\\c\u{202e}\u{e9}\n";
        let app = App::new()
            .external_resource("docs", "https://docs.example/{page}")
            .service(web::resource(["/v1/x", r#"/v2/{id:\d{2}"?}"#]).name("several"))
            .service(
                web::scope("/t/{tenant}")
                    .service(web::scope("").route("/in", web::get().to(HttpResponse::Ok)))
                    .service(web::resource(odd).name("n,a{m}e")),
            )
            .default_service(web::to(async |request: HttpRequest| {
                let root = Resource::root(request.resource_map()).unwrap();
                let expected = vec![
                    (vec![""], true, None, Some(2)),
                    (vec!["/v1/x", r#"/v2/{id:\d{2}"?}"#], false, Some("several"), None),
                    (vec!["/t/{tenant}"], true, None, Some(2)),
                    (vec![""], true, None, Some(1)),
                    (vec!["/in"], false, None, None),
                    (vec![odd], false, Some("n,a{m}e"), None),
                ];
                assert_eq!(flat(&root), expected);
                HttpResponse::Ok().finish()
            }));
        let app = init_service(app).await;
        let response = call_service(&app, TestRequest::with_uri("/").to_request()).await;
        assert_eq!(response.status(), 200);
    }

    #[test]
    fn a_map_that_is_written_in_another_way_is_not_read() {
        let map = ResourceMap::new(actix_web::dev::ResourceDef::new("/x"));
        let text = format!("{map:?}");
        assert!(Resource::of_text(&text).is_some());
        for (old, new) in [("id: ", "number: "), ("is_prefix: false", "is_prefix: 0"), (" }", ", more: 1 }")]
        {
            assert_eq!(Resource::of_text(&text.replacen(old, new, 1)), None, "{new}");
        }
        assert_eq!(Resource::of_text(&format!("{text} ")), None);
    }
}
