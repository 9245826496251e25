//! A Chromium, controlled through chromedriver.

use std::io::{BufRead as _, BufReader};
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
    pub(crate) fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is not installed: run infra/desk/browser.sh");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            line.split_once("successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        Self {
            process,
            port: port.expect("chromedriver prints its port"),
        }
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
