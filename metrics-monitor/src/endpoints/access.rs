//! Who may call an endpoint.
//!
//! If a token is set, it alone decides. Without one, the host of a request must be one that no hostile page can have,
//! and what clients sent is shown to this machine only. In both cases, pages of other sites cannot change anything.

use std::borrow::Cow;

use super::answer::Answer;
use super::request::Request;
use crate::policy::access::AccessRules;
use crate::policy::denials::Reason;
use crate::policy::headers::{single, values};
use crate::policy::hosts::{is_of_this_machine, is_private, split};
use crate::policy::origin::{Origin, elements};
use crate::policy::peer::{Peer, Source, is_forwarded};
use crate::policy::tokens::{Check, Reset, Tokens};

/// The longest part of a client's text that is repeated to it, or logged.
const MAX_REPEATED: usize = 253;

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Clients with a token that reads. Without one everybody, whatever the host: Prometheus scrapes a service under
    /// the name that it has there.
    Scrape,
    /// Clients with a token that reads. Without one everybody.
    Read,
    /// Clients with a token that reads. Without one this machine: it shows what clients sent.
    Private,
    /// Clients with a token that resets. Where none is needed, one that reads: the answer shows figures.
    Reset,
}

impl AccessRules {
    /// Why a request is refused before anything else is looked at; `None` if it may go on. `path` is the endpoint's.
    pub(crate) fn refusal(&self, access: Access, path: &str, request: &Request<'_>) -> Option<Answer> {
        let is_safe = matches!(request.method, "GET" | "HEAD" | "OPTIONS");
        let cross_site = || if is_safe { None } else { self.cross_site(request) };
        let tokens = match (access, &self.reset) {
            (Access::Open, _) => return cross_site(),
            (Access::Reset, Reset::WithToken(tokens)) => tokens,
            _ => &self.read,
        };
        if !tokens.is_empty() {
            return self.wrong_token(tokens, path, request).or_else(cross_site);
        }
        if access != Access::Scrape
            && let Some(host) = self.foreign_host(request)
        {
            self.denials.count_host(&host, self.source(request));
            return Some(misdirected(&host));
        }
        if access == Access::Private && !self.shows_private(request) {
            self.denials.count(Reason::Remote);
            return Some(only_here(path, request));
        }
        cross_site()
    }

    fn wrong_token(&self, tokens: &Tokens, path: &str, request: &Request<'_>) -> Option<Answer> {
        match tokens.check(request.headers) {
            Check::Right => return None,
            Check::Missing => self.denials.count(Reason::NoToken),
            Check::Wrong => self.denials.count_wrong_token(path, request.peer),
        }
        let message = "a valid token is required: Authorization: Bearer <token>";
        let refusal = Answer::failure(401, "unauthorized", message);
        Some(refusal.header("www-authenticate", "Bearer realm=\"metrics\""))
    }

    /// Whether an admitted request may see what clients sent: messages of errors, keys of consumers.
    pub(crate) fn shows_private(&self, request: &Request<'_>) -> bool {
        !self.read.is_empty() || self.open_to_everybody || (is_direct(request) && is_for_here(request))
    }

    /// Whom the limits count a request for.
    pub(crate) fn source(&self, request: &Request<'_>) -> Source {
        Source::of(request.peer, request.headers, self.trust_forwarded)
    }

    /// A host that the request names and that is not allowed.
    fn foreign_host<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        let is_allowed = |name: &str| is_private(name) || self.hosts.contain(name);
        let mut hosts = hosts(request, self.trust_forwarded);
        let host = hosts.find(|host| !is_known(host, is_allowed))?;
        Some(split(host).map_or_else(|| repeated(host), |(name, _)| repeated(name.as_bytes())))
    }

    /// The refusal of a request that another site's page made the browser send; `None` if none did.
    pub(crate) fn cross_site(&self, request: &Request<'_>) -> Option<Answer> {
        let message = match request.headers.value("sec-fetch-site", 0) {
            // Set by the browser; pages cannot change it.
            Some(b"same-origin" | b"none") => return None,
            Some(_) => "this cannot be called from another site's page".to_owned(),
            None => {
                let text = request.headers.value("origin", 0)?;
                let called = Origin::of_request(request.headers, request.is_secure, self.trust_forwarded);
                let page = single(request.headers, "origin").and_then(Origin::parse);
                if page.is_some() && page == called {
                    return None;
                }
                self.explain(text, page, called)
            }
        };
        self.denials.count(Reason::CrossSite);
        Some(Answer::failure(403, "cross_site", &message))
    }

    /// What is wrong with an origin, and which header a proxy should add if it is only in the way.
    fn explain(&self, text: &[u8], page: Option<Origin<'_>>, called: Option<Origin<'_>>) -> String {
        let is_same_host = page.zip(called).is_some_and(|(page, called)| page.is_same_host(&called));
        let called = called.map_or_else(|| "no host".to_owned(), |called| called.to_string());
        let text = repeated(text);
        let message = format!("the page is from {text}, but the request is for {called}");
        if !is_same_host {
            return format!("{message}; this cannot be called from another site's page");
        }
        let trust = if self.trust_forwarded { "" } else { ", and set trust_forwarded(true)" };
        format!(
            "{message}. Behind a proxy, have it pass the port in Host (nginx: proxy_set_header Host $http_host) or \
             in X-Forwarded-Host, and the scheme in X-Forwarded-Proto{trust}"
        )
    }
}

/// Whether a request comes from this machine, and not through a proxy on it that says so. By default, nginx adds no
/// header; before 1.29.7 it speaks HTTP/1.0 to a service.
fn is_direct(request: &Request<'_>) -> bool {
    request.peer.is_loopback() && !request.is_http_1_0 && !is_forwarded(request.headers)
}

/// Whether a request is for a host that only clients on this machine call so, and from no page of another one.
/// Otherwise it came through a proxy that says nothing of itself. A later nginx that also replaces the host gives
/// itself away by the pages that its users look at, and not by clients that are no browsers.
fn is_for_here(request: &Request<'_>) -> bool {
    let mut pages = ["origin", "referer"].into_iter().flat_map(|name| values(request.headers, name));
    let is_here =
        |page: &[u8]| Origin::parse(page_origin(page)).is_some_and(|page| is_of_this_machine(page.host()));
    hosts(request, false).all(|host| is_known(host, is_of_this_machine)) && pages.all(is_here)
}

/// The origin of a page's address: what is before its path.
fn page_origin(page: &[u8]) -> &[u8] {
    let authority = page.windows(3).position(|bytes| bytes == b"://").map_or(page.len(), |at| at + 3);
    let path = page[authority..].iter().position(|byte| b"/?#".contains(byte));
    path.map_or(page, |path| &page[..authority + path])
}

/// The hosts that a request names. An empty one names none.
fn hosts<'a>(request: &Request<'a>, trust_forwarded: bool) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let forwarded =
        trust_forwarded.then(|| elements(request.headers, "x-forwarded-host")).into_iter().flatten();
    values(request.headers, "host").chain(forwarded).filter(|host| !host.is_empty())
}

/// Whether a host is a name of which this holds.
fn is_known(host: &[u8], holds: impl Fn(&str) -> bool) -> bool {
    split(host).is_some_and(|(name, _)| holds(name))
}

/// A client's text, short and in visible ASCII.
fn repeated(text: &[u8]) -> Cow<'_, str> {
    let text = &text[..text.len().min(MAX_REPEATED)];
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    match std::str::from_utf8(text) {
        Ok(plain) if text.iter().all(is_plain) => Cow::Borrowed(plain),
        _ => text.iter().map(|byte| if is_plain(byte) { char::from(*byte) } else { '?' }).collect(),
    }
}

/// 421: the request was meant for somebody else. A proxy that shares connections between hosts may then try another.
fn misdirected(host: &str) -> Answer {
    let message = format!(
        "\"{host}\" is not a known host of this service. Without a token, only localhost, IP addresses, names without a \
         dot, and names in .localhost, .local, .internal and .svc are known; add others to allowed_hosts, or set \
         read_token"
    );
    Answer::failure(421, "unknown_host", &message)
}

fn only_here(path: &str, request: &Request<'_>) -> Answer {
    let through = match request.peer {
        Peer::Address(_) if !request.peer.is_loopback() => "",
        _ if is_direct(request) => ", and by its Host, Origin or Referer, this one came through a proxy",
        _ => ", and this request came through a proxy",
    };
    let name = path.trim_start_matches('/');
    let message = format!(
        "{name} shows what clients sent, so without a token only requests from this machine may read it{through}; \
         set read_token, or open_to_everybody if everybody may read it"
    );
    Answer::failure(403, "only_local", &message)
}
