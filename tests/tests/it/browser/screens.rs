//! Screens, colour schemes and languages.

use std::time::{Duration, Instant};

use tests::{Browser, Example, Look};

use super::support::{pictures, wait_until_live};

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_fits_every_screen_and_has_a_korean_version() {
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    let korean = Some("ko-KR");
    // Long enough for trends of single endpoints, which have steps of ten seconds.
    let deadline = Instant::now() + Duration::from_secs(45);
    for (name, look) in [
        ("desktop", Look::default()),
        ("dark", Look { dark: true, ..Look::default() }),
        ("korean", Look { language: korean, ..Look::default() }),
        ("phone", Look { phone: true, ..Look::default() }),
        ("phone-dark-korean", Look { phone: true, dark: true, language: korean }),
    ] {
        let browser = Browser::start(look);
        browser.open(&page);
        wait_until_live(&browser);
        // Sparklines are drawn only when visible.
        browser.get("document.querySelector('#endpoints').scrollIntoView()");
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(3)));
        let drawn = "getContext('2d').getImageData(0, 0, spark.width, spark.height).data.some(Boolean)";
        browser.wait(&format!("[...document.querySelectorAll('tr .spark')].every(spark => spark.{drawn})"));
        if !look.phone {
            browser.hover("#latency canvas");
        }
        browser.screenshot(&pictures().join(format!("{name}.png")));
        let wide = browser.get("document.documentElement.scrollWidth > document.documentElement.clientWidth");
        assert_eq!(wide, false, "{name} is wider than its screen");
        let language =
            if look.language == korean { ("ko", "최근 오류") } else { ("en", "Recent errors") };
        assert_eq!(browser.get("document.documentElement.lang"), language.0);
        assert_eq!(browser.text("#recent-title"), language.1);
        let texts = "[...document.querySelectorAll('[data-text]')].map(element => element.textContent)";
        assert_eq!(browser.get(&format!("{texts}.every(text => text && text !== 'undefined')")), true);
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
    }
}
