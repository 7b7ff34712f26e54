//! Hostile text, and a page without a token.

use metrics_actix::{Hooks, Identity, Metrics};
use serde_json::Value;
use tests::{Browser, Look, Server, settled};

use super::support::{HOSTILE, page, pictures, shop, tile, wait_until_live};

const TOKEN: &str = "read-0123456789abcdef";

/// WebDriver's code point of the key.
const ENTER: char = '\u{e007}';

#[test]
#[ignore = "needs chromium and chromedriver"]
fn hostile_text_is_shown_and_never_run() {
    let metrics = Metrics::builder("<b>shop</b>")
        .hooks(Hooks::new().consumer(|request| {
            let turn: usize = request.headers().get("x-turn")?.to_str().ok()?.parse().ok()?;
            Some(Identity::Name(HOSTILE[turn % HOSTILE.len()].to_owned()))
        }))
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    for turn in 0..HOSTILE.len() {
        let mut raw = server.raw();
        for path in [
            format!("/hostile/{turn}"),
            format!("/%3Cimg%20src=x%20onerror=window.pwned=1%3E/{turn}"),
            "/items/1".into(),
        ] {
            raw.write(format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-turn: {turn}\r\n\r\n"));
            raw.read_until("\r\n\r\n");
        }
    }
    settled(&metrics, 3 * HOSTILE.len() as u64);
    let browser = Browser::start(Look::default());
    // The address can come from a stranger, too.
    let query = "window=__proto__&lang=constructor&method=%3Cimg%20src=x%20onerror=window.pwned=1%3E\
                 &route=%3Cscript%3Epwned=1%3C/script%3E";
    browser.open(&format!("{}#{query}", page(&server)));
    browser.wait("document.querySelector('#filtered').textContent.includes('<script>pwned=1</script>')");
    browser.click("#unfilter");
    wait_until_live(&browser);
    let texts = |selector: &str| -> Vec<Value> {
        let texts = browser.get(&format!(
            "[...document.querySelectorAll('{selector}')].map(element => element.textContent)"
        ));
        texts.as_array().unwrap().clone()
    };
    browser.wait("document.querySelectorAll('#consumers tbody tr').length > 0");
    let (messages, consumers) = (texts("#recent-errors li p"), texts("#consumers tbody th"));
    for text in HOSTILE {
        // Marks that would turn the text around are shown as what they are.
        let text = text.replace('\u{202e}', "\\u{202e}").replace('\u{202c}', "\\u{202c}");
        assert!(messages.contains(&text.as_str().into()), "{text} is not in {messages:?}");
        assert!(consumers.contains(&text.as_str().into()), "{text} is not in {consumers:?}");
    }
    assert_eq!(browser.text("#service"), "<b>shop</b>");
    let routes = texts("#routes tbody th");
    assert!(routes.iter().any(|route| route.as_str().unwrap().contains("onerror=")), "{routes:?}");
    browser.hover("#latency canvas");
    browser.screenshot(&pictures().join("hostile.png"));
    assert_eq!(browser.get("document.querySelectorAll('main img, iframe, svg, main script').length"), 0);
    assert_eq!(browser.get("window.pwned === undefined"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_asks_for_the_token_and_stores_it_nowhere() {
    let metrics = Metrics::builder("guarded").read_token(TOKEN).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    (0..20).for_each(|i| drop(client.send("GET", &format!("/items/{i}"))));
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    browser.wait("document.querySelector('#token').open");
    assert_eq!(browser.get("document.querySelector('#token-wrong').hidden"), true);
    browser.screenshot(&pictures().join("token.png"));
    browser.type_into("#token-value", "wrong-0123456789abcdef");
    browser.press(ENTER);
    browser.wait("document.querySelector('#token').open && !document.querySelector('#token-wrong').hidden");
    browser.type_into("#token-value", TOKEN);
    browser.click("#token button");
    wait_until_live(&browser);
    assert_eq!(tile(&browser, "total_calls"), 20.0);
    let kept = browser.get(
        "[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href].join()",
    );
    assert!(!kept.as_str().unwrap().contains(TOKEN), "{kept}");
    assert_eq!(browser.get("document.querySelector('#token-value').value"), "");
    browser.open("about:blank");
    browser.open(&page(&server));
    browser.wait("document.querySelector('#token').open");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:?}");
}
