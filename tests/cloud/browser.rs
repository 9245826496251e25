//! The flow in a real Chromium, through the page.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use argon2::{Argon2, PasswordVerifier as _};
use thirtyfour::prelude::*;

use crate::stack::{PASSWORD, Stack, variable};

#[tokio::test]
async fn a_person_asks_for_a_link_follows_it_and_sets_a_password() -> WebDriverResult<()> {
    let email = "browser@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    let page = variable("PAGE_URL");

    browser.goto(&page).await?;
    fill(&browser, "#forgot-email", "not an address").await?;
    browser
        .find(By::Css("#forgot-form [type=submit]"))
        .await?
        .click()
        .await?;
    wait_for_text(&browser, "#forgot-email-error", "e-mail address").await?;
    assert_eq!(
        browser
            .find(By::Css("#forgot-email"))
            .await?
            .attr("aria-invalid")
            .await?
            .as_deref(),
        Some("true")
    );

    // By keyboard alone.
    let field = fill(&browser, "#forgot-email", email).await?;
    field.send_keys(Key::Enter + "").await?;
    wait_for_text(
        &browser,
        "#forgot-status",
        "a mail with a link is on its way",
    )
    .await?;
    let link = browser.query(By::Css(
        "#mailbox a.mail-link[href*='browser%40example.com']",
    ));
    link.wait(Duration::from_secs(60), POLL)
        .first()
        .await?
        .click()
        .await?;

    wait_for_value(&browser, "#reset-email", email).await?;
    let address = browser.current_url().await?.to_string();
    assert!(
        !address.contains("token") && !address.contains("email"),
        "{address}"
    );

    fill(&browser, "#reset-password", "short").await?;
    fill(&browser, "#reset-confirmation", "short").await?;
    browser
        .find(By::Css("#reset-form [type=submit]"))
        .await?
        .click()
        .await?;
    wait_for_text(&browser, "#reset-password-error", "at least 8 characters").await?;

    fill(&browser, "#reset-password", PASSWORD).await?;
    fill(&browser, "#reset-confirmation", PASSWORD)
        .await?
        .send_keys(Key::Enter + "")
        .await?;
    wait_for_text(&browser, "#reset-status", "other links").await?;

    let hash = stack.user_row(email).await["password_hash"]
        .as_s()
        .unwrap()
        .clone();
    assert!(
        Argon2::default()
            .verify_password(PASSWORD.as_bytes(), hash.as_str())
            .is_ok()
    );
    let kept = browser.execute(
        "return localStorage.length + sessionStorage.length + document.cookie.length",
        vec![],
    );
    assert_eq!(kept.await?.json(), 0);
    browser.quit().await
}

const POLL: Duration = Duration::from_millis(100);

async fn fill(browser: &WebDriver, field: &str, text: &str) -> WebDriverResult<WebElement> {
    let field = browser
        .query(By::Css(field))
        .and_clickable()
        .first()
        .await?;
    field.clear().await?;
    field.send_keys(text).await?;
    Ok(field)
}

async fn wait_for_text(
    browser: &WebDriver,
    element: &str,
    text: &'static str,
) -> WebDriverResult<()> {
    let element = browser.find(By::Css(element)).await?;
    let has_text = thirtyfour::extensions::query::conditions::element_has_text(
        move |found: &str| found.contains(text),
        true,
    );
    element
        .wait_until()
        .wait(Duration::from_secs(20), POLL)
        .condition(has_text)
        .await
}

async fn wait_for_value(
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

/// A chromedriver on a port of its own, which ends with the test.
struct ChromeDriver {
    process: Child,
    port: u16,
}

impl ChromeDriver {
    fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: infra/desk/browser.sh says how to get it");
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
            port: port.expect("chromedriver says its port"),
        }
    }

    async fn open(&self) -> WebDriver {
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
