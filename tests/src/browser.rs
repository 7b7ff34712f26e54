//! A real browser: headless Chromium, driven by `chromedriver` over the WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// WebDriver's key for an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Collects what the page's content security policy refuses, from the start.
const WATCH: &str = "window.violations = []; addEventListener('securitypolicyviolation', event => \
                     window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));";

/// The appearance that a browser asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// A phone's screen instead of a desktop's.
    pub phone: bool,
    /// `prefers-color-scheme: dark`.
    pub dark: bool,
    /// The preferred language; default: `en-US`.
    pub language: Option<&'static str>,
}

/// Starts `chromedriver`, and returns it with its port; `None` if it ended before it listened.
fn start_driver() -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed");
    let stdout = driver.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let started = "started successfully on port ";
    let port = lines.find_map(|line| Some(line.split_once(started)?.1.trim_end_matches('.').to_owned()));
    let Some(port) = port else {
        driver.wait().expect("it has ended");
        return None;
    };
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

/// A running browser with one page. Dropping it ends the browser.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    ///
    /// Without `chromedriver`, or without a Chromium that it can start.
    pub fn start(look: Look) -> Self {
        // It ends without a word if another process took the port that it chose for itself.
        let (driver, port) = (0..5).find_map(|_| start_driver()).expect("chromedriver says where it listens");

        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let base = format!("http://127.0.0.1:{port}/session");
        let language = look.language.unwrap_or("en-US");
        let mut options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--window-size=1440,1000", "--hide-scrollbars"],
            "prefs": { "intl.accept_languages": language },
        });
        if look.phone {
            let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2, "mobile": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "goog:loggingPrefs": { "browser": "ALL" }, "goog:chromeOptions": options });
        let mut browser = Self { driver, agent, session: base };
        let session = browser.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id =
            session["sessionId"].as_str().unwrap_or_else(|| panic!("Chromium does not start: {session}"));
        browser.session = format!("{}/{id}", browser.session);
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": WATCH }));
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
        browser
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Evaluates an expression in the page.
    pub fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"))
    }

    /// Runs a script in the page, and returns what it returns, or what its promise becomes.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until this expression is true in the page.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn wait(&self, expression: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.get(&format!("Boolean({expression})")) != true {
            assert!(
                Instant::now() < deadline,
                "{expression} is not true; the page says: {}",
                self.text("body")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The text of an element, as a person sees it.
    pub fn text(&self, selector: &str) -> String {
        let text = self.get(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Scrolls to an element and clicks on it, as a person does: it must be visible, and nothing may lie above it.
    pub fn click(&self, selector: &str) {
        let quoted = Value::from(selector);
        self.run(&format!("document.querySelector({quoted})?.scrollIntoView({{ block: 'nearest' }})"));
        self.post(&format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into an element.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.element(selector)), &json!({ "text": text }));
    }

    /// Presses and releases a key where the focus is: a character, or one of WebDriver's code points.
    pub fn press(&self, key: char) {
        let keys = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }));
    }

    /// Moves the pointer over the middle of an element.
    pub fn hover(&self, selector: &str) {
        let origin = json!({ ELEMENT: self.element(selector) });
        let moved = json!({ "type": "pointerMove", "origin": origin, "x": 0, "y": 0 });
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": [moved] }] }),
        );
    }

    /// Drags the pointer over an element, from one part of its width to another: 0 is its left edge, 1 its right one.
    pub fn drag(&self, selector: &str, from: f64, to: f64) {
        let element = self.element(selector);
        let width = self.get(&format!("document.querySelector({}).clientWidth", json!(selector)));
        let width = width.as_f64().expect("an element has a width");
        // Places are relative to the middle.
        let moved = |part: f64| {
            let x = ((part - 0.5) * width).round();
            json!({ "type": "pointerMove", "origin": { ELEMENT: element }, "x": x, "y": 0, "duration": 50 })
        };
        let button = |kind: &str| json!({ "type": kind, "button": 0 });
        let actions =
            [moved(from), button("pointerDown"), moved((from + to) / 2.0), moved(to), button("pointerUp")];
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": actions }] }),
        );
    }

    /// Presses and releases a key while Shift is held.
    pub fn press_with_shift(&self, key: char) {
        let (shift, keys) = ('\u{e008}', ["keyDown", "keyUp"]);
        let [down, up] = keys.map(|kind| json!({ "type": kind, "value": key }));
        let [hold, release] = keys.map(|kind| json!({ "type": kind, "value": shift }));
        let actions = [hold, down, up, release];
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// A picture of the page from its top to just below this element, as PNG.
    pub fn picture_to(&self, selector: &str) -> Vec<u8> {
        self.get("scrollTo(0, 0)");
        let below = self.get(&format!("document.querySelector('{selector}').getBoundingClientRect().bottom"));
        self.picture(below.as_f64().expect("the element has a place") + 14.0)
    }

    /// A picture of the page's whole width, this high.
    fn picture(&self, height: f64) -> Vec<u8> {
        let width = self.get("document.documentElement.clientWidth");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", &wanted);
        STANDARD.decode(picture["data"].as_str().expect("the answer has a picture")).expect("it is base64")
    }

    /// Writes a picture of the whole page.
    pub fn screenshot(&self, path: &Path) {
        self.get("scrollTo(0, 0)");
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({}));
        let png = self.picture(metrics["cssContentSize"]["height"].as_f64().expect("the page has a height"));
        std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("the directory can be made");
        std::fs::write(path, png).expect("the picture can be written");
    }

    /// Messages of the browser's console since the last call, and refusals of the page's policy since it was loaded.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let violations = self.get("window.violations");
        let entries = log.as_array().into_iter().flatten().map(|entry| entry["message"].to_string());
        entries.chain(violations.as_array().into_iter().flatten().map(Value::to_string)).collect()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no element matches {selector}: {found}")).to_owned()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.agent.post(url).content_type("application/json").send(body.to_string());
        let answer = request
            .and_then(|mut response| Ok((response.status().as_u16(), response.body_mut().read_to_string()?)));
        let (status, text) = answer.expect("chromedriver answers");
        let mut answer: Value = serde_json::from_str(&text).expect("the answer is JSON");
        assert_eq!(status, 200, "{path} {body}: {}", answer["value"]["message"]);
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium, which would outlive its driver.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
