//! A headless Chromium for a test, driven over the pipes of its DevTools protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

const PROGRAM: &str = "chromium";
/// WebGL without a graphics card.
pub const SOFTWARE_WEBGL: [&str; 2] = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];

/// The browser with one page; it ends with this value.
pub struct Browser {
    program: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Of the page.
    session: Option<String>,
    last_id: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// What is on the screen: red, green and blue of each pixel, rows from the top.
#[derive(PartialEq)]
pub struct Picture(pub Vec<[u8; 3]>);

impl Picture {
    /// How many pixels are so.
    pub fn count(&self, is_so: impl Fn(&[u8; 3]) -> bool) -> usize {
        self.0.iter().filter(|pixel| is_so(pixel)).count()
    }
}

impl Browser {
    /// A browser with a window of so many pixels and more arguments; `None`, said aloud, where there is none.
    pub fn start([width, height]: [u32; 2], arguments: &[&str]) -> Option<Browser> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&folders).any(|folder| folder.join(PROGRAM).is_file()) {
            println!("NOT TESTED: {PROGRAM} is not installed");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        // It reads orders from file 3 and answers on file 4.
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#, PROGRAM, "--headless=new", "--no-sandbox"]);
        shell.args([
            "--remote-debugging-pipe",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
        ]);
        shell
            .args([format!("--window-size={width},{height}"), format!("--user-data-dir={}", profile.path().display())]);
        shell.args(arguments).arg("about:blank");
        let mut program = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (orders, answers) = (program.stdin.take().unwrap(), BufReader::new(program.stdout.take().unwrap()));
        let mut browser =
            Browser { program, orders, answers, session: None, last_id: 0, events: Vec::new(), _profile: profile };
        let targets = browser.order("Target.getTargets", json!({}));
        let target = targets["targetInfos"].as_array().unwrap().iter().find(|target| target["type"] == "page");
        let attached = json!({ "targetId": target.unwrap()["targetId"], "flatten": true });
        let session = browser.order("Target.attachToTarget", attached)["sessionId"].as_str().unwrap().to_owned();
        browser.session = Some(session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.order(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a file and waits for an expression to hold on its page.
    pub fn open(&mut self, page: &Path, until: &str) {
        self.order("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        self.until(until);
    }

    /// One order and its answer.
    pub fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "{PROGRAM} has ended");
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["id"] == self.last_id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let question = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.order("Runtime.evaluate", question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The text of an element.
    pub fn text(&mut self, id: &str) -> String {
        self.value(&format!("document.getElementById({id:?}).textContent")).as_str().unwrap().to_owned()
    }

    /// Waits for an expression to hold.
    pub fn until(&mut self, expression: &str) {
        let began = Instant::now();
        while self.value(expression) != true {
            assert!(began.elapsed() < Duration::from_secs(120), "waiting for {expression}: {:?}", self.complaints());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Gives an input a value, as a user does.
    pub fn enter(&mut self, id: &str, value: &str) {
        let events = "for (const name of ['input', 'change']) e.dispatchEvent(new Event(name, { bubbles: true }))";
        self.value(&format!("{{ const e = document.getElementById({id:?}); e.value = {value:?}; {events} }}"));
    }

    /// A click at a place of the window, in pixels.
    pub fn click(&mut self, [x, y]: [f64; 2]) {
        for what in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": what, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.order("Input.dispatchMouseEvent", event);
        }
    }

    /// A key, by its name.
    pub fn press(&mut self, key: &str) {
        for what in ["keyDown", "keyUp"] {
            self.order("Input.dispatchKeyEvent", json!({ "type": what, "key": key, "code": key }));
        }
    }

    /// The part of the screen from x, y with so many columns and rows.
    pub fn picture(&mut self, [x, y, width, height]: [f64; 4]) -> Picture {
        let clip = json!({ "x": x, "y": y, "width": width, "height": height, "scale": 1 });
        let answer = self.order("Page.captureScreenshot", json!({ "format": "png", "clip": clip }));
        let bytes = BASE64_STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let pixels = pixels[..frame.buffer_size()].chunks(frame.color_type.samples());
        Picture(pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
    }

    /// Errors on the page's console, and exceptions that nobody caught.
    pub fn complaints(&self) -> Vec<&Value> {
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(is_complaint).collect()
    }

    /// What the page asked for, itself included.
    pub fn requests(&self) -> Vec<&str> {
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.map(|event| event["params"]["request"]["url"].as_str().unwrap()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
