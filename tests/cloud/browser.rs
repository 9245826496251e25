//! A Chromium, controlled through chromedriver.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use thirtyfour::prelude::*;

/// A chromedriver on a free port. It stops when the test ends.
pub(crate) struct ChromeDriver {
    process: Child,
    port: u16,
}

impl ChromeDriver {
    /// Starts a chromedriver.
    ///
    /// It takes a free IPv4 port, and then the same port of IPv6, which another test may have taken in between. It
    /// exits in that case, and a second attempt takes other ports.
    pub(crate) fn start() -> Self {
        let mut outputs = Vec::new();
        for _ in 0..5 {
            match Self::try_start() {
                Ok(started) => return started,
                Err(output) => outputs.push(output),
            }
        }
        panic!("chromedriver did not start: {outputs:#?}");
    }

    /// Starts a chromedriver, or returns what it printed before it exited.
    fn try_start() -> Result<Self, String> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromedriver is not installed: run infra/desk/browser.sh");
        let mut output = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let port = line.split_once("successfully on port ");
            let port = port.and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                return Ok(Self { process, port });
            }
            output += &line;
        }
        process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut output)
            .unwrap();
        Err(format!("{} {output}", process.wait().unwrap()))
    }

    pub(crate) async fn open(&self) -> WebDriver {
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        WebDriver::new(format!("http://127.0.0.1:{}", self.port), capabilities)
            .await
            .unwrap()
    }
}

impl Drop for ChromeDriver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs an asynchronous script in the page, and returns its result.
pub(crate) async fn evaluate(browser: &WebDriver, script: &str) -> WebDriverResult<Value> {
    let asynchronous = format!(
        "const done = arguments[0]; (async () => {{ {script} }})().then(done, (error) => done(String(error)))"
    );
    let result = browser.execute_async(asynchronous, vec![]).await?;
    Ok(result.json().clone())
}

pub(crate) const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn fill(
    browser: &WebDriver,
    field: &str,
    text: &str,
) -> WebDriverResult<WebElement> {
    let field = browser
        .query(By::Css(field))
        .and_clickable()
        .first()
        .await?;
    field.clear().await?;
    field.send_keys(text).await?;
    Ok(field)
}

pub(crate) async fn wait_for_text(
    browser: &WebDriver,
    element: &str,
    text: &'static str,
) -> WebDriverResult<()> {
    let element = browser.find(By::Css(element)).await?;
    let has_text = thirtyfour::extensions::query::conditions::element_has_text(
        move |content: &str| content.contains(text),
        true,
    );
    element
        .wait_until()
        .wait(Duration::from_secs(20), POLL)
        .condition(has_text)
        .await
}

pub(crate) async fn wait_for_value(
    browser: &WebDriver,
    element: &str,
    value: &'static str,
) -> WebDriverResult<()> {
    let element = browser
        .query(By::Css(element))
        .wait(Duration::from_secs(20), POLL)
        .and_displayed()
        .first()
        .await?;
    element
        .wait_until()
        .wait(Duration::from_secs(20), POLL)
        .has_value(value)
        .await
}
