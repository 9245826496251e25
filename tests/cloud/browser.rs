//! The flow in a real Chromium, through the page.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use argon2::{Argon2, PasswordVerifier as _};
use serde_json::{Value, json};
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
    complain_about_address(&browser).await?;
    ask_by_keyboard(&browser, email).await?;

    wait_for_value(&browser, "#reset-email", email).await?;
    let address = browser.current_url().await?.to_string();
    assert!(
        !address.contains("token") && !address.contains("email"),
        "{address}"
    );

    set_password(&browser).await?;
    let hash = stack.user_row(email).await["password_hash"]
        .as_s()
        .unwrap()
        .clone();
    assert!(
        Argon2::default()
            .verify_password(PASSWORD.as_bytes(), hash.as_str())
            .is_ok()
    );
    assert_eq!(evaluate(&browser, KEPT).await?, 0);
    browser.quit().await
}

/// Asks for a link for something that is not an address.
async fn complain_about_address(browser: &WebDriver) -> WebDriverResult<()> {
    fill(browser, "#forgot-email", "not an address").await?;
    browser
        .find(By::Css("#forgot-form [type=submit]"))
        .await?
        .click()
        .await?;
    wait_for_text(browser, "#forgot-email-error", "email address").await?;
    assert_eq!(
        browser
            .find(By::Css("#forgot-email"))
            .await?
            .attr("aria-invalid")
            .await?
            .as_deref(),
        Some("true")
    );
    Ok(())
}

/// Asks for a link by keyboard alone, and follows it from the HTML email in the mailbox.
async fn ask_by_keyboard(browser: &WebDriver, email: &'static str) -> WebDriverResult<()> {
    let field = fill(browser, "#forgot-email", email).await?;
    field.send_keys(Key::Enter + "").await?;
    wait_for_text(browser, "#sent-intro", email).await?;
    wait_for_text(browser, "#sent-again", "Send again in").await?;

    let envelope = format!("//details[.//dd[text()='{email}']]");
    let envelope = browser.query(By::XPath(&envelope));
    let envelope = envelope.wait(Duration::from_mins(1), POLL).first().await?;
    // Other tests' emails may be newer: this one is not open then.
    if envelope.attr("open").await?.is_none() {
        envelope.find(By::Tag("summary")).await?.click().await?;
    }
    let tab = |name: &str| envelope.find(By::XPath(format!(".//button[text()='{name}']")));
    tab("Text").await?.click().await?;
    let link = envelope.find(By::Css("a.mail-link[href*='browser%40example.com']"));
    assert!(link.await?.is_displayed().await?);
    tab("HTML").await?.click().await?;
    envelope
        .find(By::Tag("iframe"))
        .await?
        .enter_frame()
        .await?;
    let link = browser.query(By::Css("a[href*='browser%40example.com']"));
    let link = link.wait(Duration::from_secs(20), POLL).first().await?;
    link.click().await?;
    browser.enter_default_frame().await
}

/// Tries a password that is too short, and then sets one.
async fn set_password(browser: &WebDriver) -> WebDriverResult<()> {
    fill(browser, "#reset-password", "short").await?;
    fill(browser, "#reset-confirmation", "short").await?;
    browser
        .find(By::Css("#reset-form [type=submit]"))
        .await?
        .click()
        .await?;
    wait_for_text(browser, "#reset-password-error", "at least 8 characters").await?;

    fill(browser, "#reset-password", PASSWORD).await?;
    fill(browser, "#reset-confirmation", PASSWORD)
        .await?
        .send_keys(Key::Enter + "")
        .await?;
    wait_for_text(browser, "#done-title", "Your password is changed").await
}

/// Everything that a page may keep.
const KEPT: &str = "return (await indexedDB.databases()).length + (await caches.keys()).length \
    + localStorage.length + sessionStorage.length + document.cookie.length";

#[tokio::test]
async fn a_links_token_is_in_no_history_no_referrer_and_no_request() -> WebDriverResult<()> {
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    let page = variable("PAGE_URL");
    let token = "0123456789abcdef".repeat(4);
    for mark in ["?", "#"] {
        let opened = format!("{page}{mark}email=ada%40example.com&token={token}");
        browser.goto(&opened).await?;
        wait_for_value(&browser, "#reset-email", "ada@example.com").await?;
        assert_eq!(evaluate(&browser, "return location.href").await?, page);
        assert_eq!(
            evaluate(
                &browser,
                "return document.documentElement.outerHTML.includes('0123456789abcdef')"
            )
            .await?,
            false
        );

        // On to another page, and back: neither is told where we came from, nor does the way back lead to the token.
        evaluate(&browser, "location.href = 'page.css'").await?;
        browser.query(By::Css("pre")).first().await?;
        assert_eq!(evaluate(&browser, "return document.referrer").await?, "");
        browser.back().await?;
        wait_for_text(&browser, "#bad-title", "Open the link again").await?;
        assert_eq!(evaluate(&browser, "return location.href").await?, page);
    }
    browser.quit().await
}

/// Returns the front-end snippet of the README as a reader would paste it, with the API's address filled in.
fn snippet_of_the_readme() -> String {
    let readme = std::fs::read_to_string("docs/front-end.md").unwrap();
    let (_, rest) = readme.split_once("```js\n").unwrap();
    let (snippet, _) = rest.split_once("```").unwrap();
    let placeholder = "https://….execute-api.eu-central-1.amazonaws.com";
    assert!(snippet.contains(placeholder), "{snippet}");
    snippet.replace(placeholder, &variable("API_URL"))
}

#[tokio::test]
async fn the_snippet_of_the_readme_works_with_either_link_placement() -> WebDriverResult<()> {
    let stack = Stack::new();
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    // A document of the allowed origin without a script of its own: the page's would take the link first.
    let empty = format!("{}page.css", variable("PAGE_URL"));
    // The application's own parts of the address stay.
    for (email, before, after, kept) in [
        ("snippet-query@example.com", "?", "", ""),
        ("snippet-fragment@example.com", "#", "", ""),
        ("snippet-own@example.com", "?view=reset&", "", "?view=reset"),
        (
            "snippet-both@example.com",
            "?view=reset#",
            "",
            "?view=reset",
        ),
        ("snippet-heading@example.com", "?", "#heading", "#heading"),
    ] {
        stack.user(email).await;
        let link = stack.link(email).await;
        let carried = format!("email={}&token={}", link.email, link.token);
        browser.goto("about:blank").await?;
        browser
            .goto(&format!("{empty}{before}{carried}{after}"))
            .await?;
        let script = format!(
            "{}; const answers = []; for (const password of ['short', '{PASSWORD}']) {{ \
             const answer = await reset(password); \
             answers.push(answer.status, (await answer.text()).includes('at least 8 characters')); }} \
             return [...answers, (await forgot('{email}')).status, location.href]",
            snippet_of_the_readme()
        );
        let expected = json!([422, true, 204, false, 202, format!("{empty}{kept}")]);
        assert_eq!(evaluate(&browser, &script).await?, expected, "{before}");
        let hash = &stack.user_row(email).await["password_hash"];
        assert!(
            Argon2::default()
                .verify_password(PASSWORD.as_bytes(), hash.as_s().unwrap().as_str())
                .is_ok()
        );
    }
    browser.quit().await
}

#[tokio::test]
async fn the_page_runs_no_script_but_its_own_and_asks_nobody_but_the_api() -> WebDriverResult<()> {
    let (page, api) = (variable("PAGE_URL"), variable("API_URL"));
    let served = reqwest::get(&page).await.unwrap();
    let policy = served.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(served.headers()["referrer-policy"], "no-referrer");

    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    browser.goto(&page).await?;
    evaluate(&browser, "document.addEventListener('securitypolicyviolation', () => window.violations = (window.violations ?? 0) + 1)").await?;
    // As a person uses it.
    fill(&browser, "#forgot-email", "nobody@example.com")
        .await?
        .send_keys(Key::Enter + "")
        .await?;
    wait_for_text(&browser, "#sent-title", "Check your inbox").await?;
    assert!(
        evaluate(&browser, "return window.violations ?? null")
            .await?
            .is_null()
    );
    let asked = evaluate(
        &browser,
        "return performance.getEntriesByType('resource').map(({ name }) => name)",
    )
    .await?;
    let asked = asked.as_array().unwrap();
    let is_ours = |name: &str| name.starts_with(&page) || name.starts_with(&api);
    assert!(
        asked.len() > 2 && asked.iter().all(|name| is_ours(name.as_str().unwrap())),
        "{asked:?}"
    );

    check_injection(&browser).await?;
    browser.quit().await
}

/// Checks that the policy stops scripts and requests that are injected into the page.
async fn check_injection(browser: &WebDriver) -> WebDriverResult<()> {
    let inject = "const script = document.createElement('script'); script.textContent = 'window.injected = 1'; \
        document.body.append(script); document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.injected = 2\">')";
    evaluate(browser, inject).await?;
    let evil =
        "try { await fetch('https://evil.test/'); return 'sent' } catch { return 'refused' }";
    assert_eq!(evaluate(browser, evil).await?, "refused");
    assert!(
        evaluate(browser, "return window.injected ?? null")
            .await?
            .is_null()
    );
    assert!(
        evaluate(browser, "return window.violations")
            .await?
            .as_i64()
            .unwrap()
            >= 3
    );
    Ok(())
}

/// Password managers and the clipboard may do their work (OWASP ASVS 5.0, 6.2.6 and 6.2.7).
#[tokio::test]
async fn a_password_may_be_pasted_and_is_offered_to_be_kept() -> WebDriverResult<()> {
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    let opened = format!(
        "{}?email=ada%40example.com&token={}",
        variable("PAGE_URL"),
        "0".repeat(64)
    );
    browser.goto(&opened).await?;
    wait_for_value(&browser, "#reset-email", "ada@example.com").await?;
    for field in ["reset-password", "reset-confirmation"] {
        let element = browser.find(By::Id(field)).await?;
        assert_eq!(
            element.attr("autocomplete").await?.as_deref(),
            Some("new-password")
        );
        assert_eq!(element.attr("type").await?.as_deref(), Some("password"));
        assert_eq!(element.attr("maxlength").await?, None);
        let paste = format!(
            "return document.getElementById('{field}').dispatchEvent(new ClipboardEvent('paste', {{ cancelable: true, bubbles: true }}))"
        );
        assert_eq!(
            evaluate(&browser, &paste).await?,
            true,
            "nobody prevents it"
        );
    }
    browser.quit().await
}

/// What a piece of script in the page says, which may wait.
async fn evaluate(browser: &WebDriver, script: &str) -> WebDriverResult<Value> {
    let asynchronous = format!(
        "const done = arguments[0]; (async () => {{ {script} }})().then(done, (error) => done(String(error)))"
    );
    let answer = browser.execute_async(asynchronous, vec![]).await?;
    Ok(answer.json().clone())
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
