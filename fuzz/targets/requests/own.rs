//! Calls of the monitor's endpoints: who calls, and the status that the docs promise.

use actix_web::test::TestRequest;

use crate::config::{ALLOWED_HOST, Access, Callers, Config, Mount, READ_TOKEN, RESET_TOKEN};
use crate::input::{Own, Sent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Read,
    Private,
    Scrape,
    Reset,
    Events,
}

/// The endpoints, and what each answers to a right question.
const ENDPOINTS: [(&str, Kind, u16); 22] = [
    ("", Kind::Open, 307),
    ("/", Kind::Open, 200),
    ("/dashboard/main.js", Kind::Open, 200),
    ("/dashboard/none.js", Kind::Open, 404),
    ("/events", Kind::Events, 200),
    ("/summary", Kind::Read, 200),
    ("/summary", Kind::Read, 200),
    ("/routes", Kind::Read, 200),
    ("/history", Kind::Read, 200),
    ("/alerts", Kind::Read, 200),
    ("/errors", Kind::Private, 200),
    ("/errors/groups", Kind::Private, 200),
    ("/slow", Kind::Private, 200),
    ("/exporters", Kind::Read, 200),
    ("/business", Kind::Read, 200),
    ("/consumers", Kind::Private, 200),
    ("/resources", Kind::Read, 200),
    ("/objectives", Kind::Read, 200),
    ("/fleet/summary", Kind::Read, 200),
    ("/prometheus", Kind::Scrape, 200),
    ("/reset", Kind::Reset, 200),
    (SCRAPES, Kind::Scrape, 200),
];

/// The endpoint for Prometheus by itself, outside of the mount.
const SCRAPES: &str = "/scrapes";

/// A query, and the endpoints that refuse it; `history` may refuse further ones.
const QUERIES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("", &[]),
    ("top=1000", &[]),
    ("window=reset", &[]),
    ("window=5m", &[]),
    ("window=1h", &[]),
    ("windwo=7x&%ff=%zz&&&=", PARSED),
    ("window=7x", WINDOWED),
    ("window=", WINDOWED),
    ("window=99999999999999999999999999999999999999999999999999999999999999999999999999999999m", WINDOWED),
    ("window=5m&window=5m", PARSED),
    ("top=0", &["/consumers", "/errors/groups"]),
    ("top=18446744073709551616", &["/consumers", "/errors/groups"]),
    ("status=5xx&group=0000000000000000&consumer=Ann", &["/history"]),
    ("status=5xx", &[]),
    ("status=600", &["/errors", "/errors/groups", "/history"]),
    ("group=%F0%9F%92%A1", &["/errors", "/errors/groups", "/history"]),
    ("from=1&until=1769592600000", &[]),
    ("from=2&until=1", &["/history"]),
    ("top=1&top=1", PARSED),
    ("step=10s", &[]),
    ("step=0s", &["/history"]),
    ("step=1ns&window=24h", &["/history"]),
    ("method=GET&route=/items/%7Bid%7D", &[]),
    ("method=GET", &["/history", "/slow"]),
    ("metric=nope", &["/history", "/slow"]),
    ("metric=nope&method=GET&route=/", &["/history", "/slow"]),
    ("page=true", &[]),
    ("page=maybe", &["/events"]),
];

const WINDOWED: &[&str] = &[
    "/summary",
    "/routes",
    "/history",
    "/errors",
    "/errors/groups",
    "/slow",
    "/business",
    "/resources",
    "/events",
];

/// The endpoints that look at the query.
const PARSED: &[&str] = &[
    "/summary",
    "/routes",
    "/history",
    "/alerts",
    "/errors",
    "/errors/groups",
    "/slow",
    "/exporters",
    "/business",
    "/consumers",
    "/resources",
    "/events",
    "/reset",
];

/// Values of `Host`, and whether no page of a stranger can have that name. An empty one names none.
const HOSTS: [(Option<&str>, bool); 12] = [
    (None, true),
    (Some("localhost"), true),
    (Some("localhost"), true),
    (Some("LOCALHOST:8080"), true),
    (Some("10.0.0.1:80"), true),
    (Some("[::1]:1"), true),
    (Some("orders"), true),
    (Some("x.svc.cluster.local"), true),
    (Some("evil.example"), false),
    (Some(ALLOWED_HOST), false),
    (Some("localhost:80@evil.example"), false),
    (Some(""), true),
];

const AUTHORIZATIONS: [&[&str]; 8] = [
    &[],
    &["Bearer read-0123456789abcdef"],
    &["bearer read-0123456789abcdef"],
    &["Bearer reset-0123456789abcdef"],
    &["Bearer reset-0123456789abcdee"],
    &["Bearer "],
    &["Basic read-0123456789abcdef"],
    &["Bearer read-0123456789abcdef", "Bearer read-0123456789abcdef"],
];

/// The other end, and whether it is this machine; without an address it is a Unix socket's.
const PEERS: [(Option<&str>, bool); 5] = [
    (None, true),
    (Some("127.0.0.1:9"), true),
    (Some("[::ffff:127.0.0.1]:9"), true),
    (Some("203.0.113.7:9"), false),
    (Some("[2001:db8::1]:9"), false),
];

const FORWARDED: [Option<(&str, &str)>; 8] = [
    None,
    None,
    Some(("x-forwarded-for", "203.0.113.7")),
    Some(("x-forwarded-host", ALLOWED_HOST)),
    Some(("x-forwarded-host", "evil.example, localhost")),
    Some(("x-forwarded-host", "localhost:8080,inner")),
    Some(("x-forwarded-proto", "https")),
    Some(("via", "1.1 proxy")),
];

const ORIGINS: [Option<&str>; 9] = [
    None,
    None,
    Some("http://localhost"),
    Some("http://Localhost:80"),
    Some("https://localhost"),
    Some("http://localhost:8080"),
    Some("http://evil.example"),
    Some("evil://localhost"),
    Some("null"),
];

const SITES: [Option<&str>; 6] =
    [None, None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site")];

/// Values of `Accept`; the last three are of scrapers.
const ACCEPTS: [Option<&str>; 7] = [
    None,
    None,
    Some("text/html,*/*"),
    Some("application/json"),
    Some("application/openmetrics-text;version=1.0.0"),
    Some("text/plain;version=0.0.4"),
    Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"),
];

fn of<T: Copy>(table: &[T], number: u8) -> T {
    table[usize::from(number) % table.len()]
}

impl Own {
    /// This machine, with the token that the endpoint needs.
    pub fn right(self) -> Self {
        let authorization = if self.endpoint() == "/reset" { 3 } else { 1 };
        let authorized = Self { authorization, is_http_1_0: false, ..self };
        Self { host: 1, peer: 1, forwarded: 0, origin: 0, site: 0, ..authorized }
    }

    /// The one method that it is for.
    pub fn method(self) -> &'static str {
        if self.endpoint() == "/reset" { "POST" } else { "GET" }
    }

    /// The path of the endpoint below the mount.
    pub fn endpoint(self) -> &'static str {
        of(&ENDPOINTS, self.endpoint).0
    }

    pub fn query(self) -> &'static str {
        of(QUERIES, self.query).0
    }

    /// Whether this configuration has the endpoint. Those that it does not have are answered by the monitor, too.
    fn exists(self, config: &Config) -> bool {
        match self.endpoint() {
            "/objectives" | "/fleet/summary" => false,
            "/consumers" => config.callers != Callers::None,
            "/reset" => config.has_reset(),
            _ => true,
        }
    }

    pub fn uri(self, config: &Config) -> String {
        let endpoint = self.endpoint();
        let mount = if endpoint == SCRAPES { "" } else { config.mount.called() };
        let slash = if self.has_slash && endpoint.len() > 1 { "/" } else { "" };
        let path = format!("{mount}{endpoint}{slash}");
        format!("{}?{}", if path.is_empty() { "/" } else { &path }, self.query())
    }

    pub fn headers(self, mut request: TestRequest) -> TestRequest {
        let single = [
            ("host", of(&HOSTS, self.host).0),
            ("origin", of(&ORIGINS, self.origin)),
            ("sec-fetch-site", of(&SITES, self.site)),
            ("accept", of(&ACCEPTS, self.accept)),
            ("accept-encoding", self.gzip.then_some("gzip")),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for header in single.chain(of(&FORWARDED, self.forwarded)) {
            request = request.insert_header(header);
        }
        for value in of(&AUTHORIZATIONS, self.authorization) {
            request = request.append_header(("authorization", *value));
        }
        if let Some(peer) = of(&PEERS, self.peer).0 {
            request = request.peer_addr(peer.parse().expect("it is an address"));
        }
        if self.is_http_1_0 {
            request = request.version(actix_web::http::Version::HTTP_10);
        }
        request
    }

    /// What the endpoint is for this caller: at the page's path, a scraper is meant to get the figures.
    fn kind(self) -> Kind {
        let is_page = ["", "/"].contains(&self.endpoint());
        let is_scraper = usize::from(self.accept) % ACCEPTS.len() >= 4;
        if is_page && is_scraper { Kind::Scrape } else { of(&ENDPOINTS, self.endpoint).1 }
    }

    /// The statuses that are right, one or two.
    pub fn expected(self, config: &Config, method: &str, body: &Sent) -> [u16; 2] {
        let one = |status| [status, status];
        if let Some(status) = self.refusal(config, method) {
            return one(status);
        }
        if !self.exists(config) {
            return one(404);
        }
        match body {
            Sent::Long => return one(413),
            Sent::Pieces { fails: true, .. } => return one(400),
            _ => {}
        }
        let (endpoint, kind) = (self.endpoint(), self.kind());
        let is_allowed = match kind {
            Kind::Reset => method == "POST",
            Kind::Events => method == "GET",
            _ => ["GET", "HEAD"].contains(&method),
        };
        if !is_allowed {
            return one(405);
        }
        if kind == Kind::Events && self.is_cross_site(config) {
            return one(403);
        }
        let (query, refusing) = of(QUERIES, self.query);
        if refusing.contains(&endpoint) {
            return one(400);
        }
        match (endpoint, kind) {
            // Of a route that was never asked for there is none.
            ("/history", _) if ["window", "step", "route"].iter().any(|name| query.contains(name)) => {
                [200, 400]
            }
            (_, Kind::Scrape) => one(200),
            // No redirect, but the page itself.
            ("", _) if config.mount == Mount::Root => one(200),
            _ => one(of(&ENDPOINTS, self.endpoint).2),
        }
    }

    /// Why the caller is refused before anything else is looked at.
    fn refusal(self, config: &Config, method: &str) -> Option<u16> {
        let kind = self.kind();
        let is_safe = ["GET", "HEAD", "OPTIONS"].contains(&method);
        let cross_site = (!is_safe && self.is_cross_site(config)).then_some(403);
        if kind == Kind::Open {
            return cross_site;
        }
        let token = match (kind, config.access) {
            (Kind::Reset, Access::Tokens | Access::ResetToken) => Some(RESET_TOKEN),
            (_, Access::Tokens) => Some(READ_TOKEN),
            _ => None,
        };
        if let Some(token) = token {
            let given = of(&AUTHORIZATIONS, self.authorization);
            let is_right =
                matches!(given, [one] if one[..7].eq_ignore_ascii_case("bearer ") && &one[7..] == token);
            return if is_right { cross_site } else { Some(401) };
        }
        if kind != Kind::Scrape && self.is_foreign(config) {
            return Some(421);
        }
        if kind == Kind::Private && !self.shows_private(config) {
            return Some(403);
        }
        cross_site
    }

    fn forwarded_hosts(self) -> impl Iterator<Item = &'static str> {
        let forwarded = of(&FORWARDED, self.forwarded).filter(|(name, _)| *name == "x-forwarded-host");
        forwarded.into_iter().flat_map(|(_, hosts)| hosts.split(',')).map(str::trim)
    }

    /// Whether the request names a host that is not allowed.
    fn is_foreign(self, config: &Config) -> bool {
        let is_allowed = |host: &str| config.allows_host && host == ALLOWED_HOST;
        let (host, is_private) = of(&HOSTS, self.host);
        let is_foreign = !is_private && !host.is_some_and(is_allowed);
        let is_evil = |host: &str| host.contains("example") && !is_allowed(host);
        is_foreign || config.trusts_forwarded && self.forwarded_hosts().any(is_evil)
    }

    /// Whether the caller may see what clients sent.
    fn shows_private(self, config: &Config) -> bool {
        match config.access {
            Access::Tokens | Access::OpenToEverybody => true,
            _ => {
                let is_direct = of(&FORWARDED, self.forwarded).is_none() && !self.is_http_1_0;
                let is_here = |host: &str| ["localhost", "[::1]"].contains(&host);
                let is_for_here =
                    of(&HOSTS, self.host).0.filter(|host| !host.is_empty()).is_none_or(|host| {
                        origin(&format!("http://{host}")).is_some_and(|(_, host, _)| is_here(&host))
                    });
                let is_page_here = of(&ORIGINS, self.origin)
                    .is_none_or(|page| origin(page).is_some_and(|(_, host, _)| is_here(&host)));
                is_direct && of(&PEERS, self.peer).1 && is_for_here && is_page_here
            }
        }
    }

    /// Whether another site's page made the browser call.
    fn is_cross_site(self, config: &Config) -> bool {
        let page = match (of(&SITES, self.site), of(&ORIGINS, self.origin)) {
            (Some(site), _) => return !["same-origin", "none"].contains(&site),
            (None, None) => return false,
            (None, Some(origin)) => origin,
        };
        let is_trusted_https =
            config.trusts_forwarded && of(&FORWARDED, self.forwarded) == Some(("x-forwarded-proto", "https"));
        let scheme = if is_trusted_https { "https" } else { "http" };
        let forwarded = self.forwarded_hosts().next().filter(|_| config.trusts_forwarded);
        let called =
            forwarded.or(of(&HOSTS, self.host).0).and_then(|host| origin(&format!("{scheme}://{host}")));
        let page = origin(page);
        page.is_none() || page != called
    }
}

/// Scheme, host and port.
fn origin(text: &str) -> Option<(String, String, String)> {
    let (scheme, host) = text.split_once("://")?;
    let port = if scheme == "https" { "443" } else { "80" };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, given)) if given.bytes().all(|byte| byte.is_ascii_digit()) => (host, given),
        _ => (host, port),
    };
    let is_origin = ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains('@');
    is_origin.then(|| (scheme.to_owned(), host.to_ascii_lowercase(), port.to_owned()))
}
