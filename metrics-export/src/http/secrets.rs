//! Secrets that a server's text may repeat, and nobody may see.

use super::url::percent_decoded;

/// The shortest text that is taken for a secret.
const MIN_BYTES: usize = 4;

/// Words of headers and paths that are secret nowhere: messages are easier to understand with them.
const PUBLIC: [&str; 15] = [
    "ApiKey",
    "Basic",
    "Bearer",
    "Sentry",
    "_bulk",
    "alerts",
    "envelope",
    "metrics",
    "otlp",
    "rust",
    "sentry_client",
    "sentry_key",
    "sentry_version",
    "stats",
    "traces",
];

/// The words of a header's value, such as both of `Bearer abc` and of `key=abc`.
pub(crate) fn secret_words(value: &str) -> impl Iterator<Item = String> {
    value.split([' ', ',', ';', '=', '"']).filter(|word| may_be_secret(word)).map(str::to_owned)
}

/// The parts of a URL that may be secret, as they are and decoded: user, password, segments of the path, the query.
pub(crate) fn secret_parts(url: &str) -> Vec<String> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    let parts = login.split(':').chain(path.split(['/', '?', '&', '#', '=']));
    let parts = parts.filter(|part| may_be_secret(part));
    parts.flat_map(|part| [Some(part.to_owned()), percent_decoded(part)]).flatten().collect()
}

fn may_be_secret(word: &str) -> bool {
    word.len() >= MIN_BYTES && !PUBLIC.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_the_path_and_the_query_of_a_url_may_be_secret() {
        let of = |url| secret_parts(url);
        let found = of("https://user:p%40ss@host/services/T00/hunter2?key=value");
        for secret in ["user", "p%40ss", "p@ss", "services", "hunter2", "value"] {
            assert!(found.iter().any(|known| known == secret), "{secret}");
        }
        assert!(!found.iter().any(|known| known.contains("host") || known == "T00"), "{found:?}");
        assert!(of("http://host:1234").is_empty() && of("http://host/").is_empty());
    }

    #[test]
    fn words_that_everybody_knows_are_not_hidden() {
        assert!(secret_parts("http://host/otlp/v1/metrics").is_empty());
        assert_eq!(secret_words("Basic aHVudGVyMg==").collect::<Vec<_>>(), ["aHVudGVyMg"]);
        let sentry = "Sentry sentry_version=7, sentry_key=hunter2";
        assert_eq!(secret_words(sentry).collect::<Vec<_>>(), ["hunter2"]);
    }
}
