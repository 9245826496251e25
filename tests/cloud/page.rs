//! The deployed sample page, in Chromium.

use std::time::Duration;

use thirtyfour::prelude::*;

use crate::browser::{ChromeDriver, POLL, evaluate, fill, wait_for_text, wait_for_value};
use crate::stack::{Stack, variable};
use support::deployment::PASSWORD;

#[tokio::test]
async fn a_user_requests_a_link_and_sets_a_new_password() -> WebDriverResult<()> {
    let email = "browser@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    let page = variable("PAGE_URL");

    browser.goto(&page).await?;
    submit_invalid_email(&browser).await?;
    request_and_open_link(&browser, email).await?;

    wait_for_value(&browser, "#reset-email", email).await?;
    let address = browser.current_url().await?.to_string();
    assert!(
        !address.contains("token") && !address.contains("email"),
        "{address}"
    );

    set_password(&browser).await?;
    assert!(stack.accepts(email, PASSWORD).await);
    assert_eq!(evaluate(&browser, STORED).await?, 0);
    browser.quit().await
}

/// Submits an invalid email address, and checks the error.
async fn submit_invalid_email(browser: &WebDriver) -> WebDriverResult<()> {
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

/// Requests a link by keyboard, and follows it from the HTML email in the mailbox.
async fn request_and_open_link(browser: &WebDriver, email: &'static str) -> WebDriverResult<()> {
    let field = fill(browser, "#forgot-email", email).await?;
    field.send_keys(Key::Enter + "").await?;
    wait_for_text(browser, "#sent-intro", email).await?;
    wait_for_text(browser, "#sent-again", "Send again in").await?;

    let envelope = format!("//details[.//dd[text()='{email}']]");
    let envelope = browser.query(By::XPath(&envelope));
    let envelope = envelope.wait(Duration::from_mins(1), POLL).first().await?;
    // The mailbox opens only the newest email, which may be another test's.
    if envelope.attr("open").await?.is_none() {
        envelope.find(By::Tag("summary")).await?.click().await?;
    }
    let tab = |name: &str| envelope.find(By::XPath(format!(".//button[text()='{name}']")));
    tab("Text").await?.click().await?;
    let link = envelope.find(By::Css("a.email-link[href*='browser%40example.com']"));
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

/// Submits a password that is too short, and then a valid one.
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
    wait_for_text(browser, "#done-title", "Your password has been changed").await
}

/// A script that counts everything a page can store.
const STORED: &str = "return (await indexedDB.databases()).length + (await caches.keys()).length \
    + localStorage.length + sessionStorage.length + document.cookie.length";

#[tokio::test]
async fn the_token_stays_out_of_history_referrer_and_markup() -> WebDriverResult<()> {
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

        // Open another page and go back: the referrer must be empty, and the Back button must not lead to the token.
        evaluate(&browser, "location.href = 'page.css'").await?;
        browser.query(By::Css("pre")).first().await?;
        assert_eq!(evaluate(&browser, "return document.referrer").await?, "");
        browser.back().await?;
        wait_for_text(&browser, "#bad-title", "Open the link again").await?;
        assert_eq!(evaluate(&browser, "return location.href").await?, page);
    }
    browser.quit().await
}

#[tokio::test]
async fn the_page_runs_only_its_scripts_and_calls_only_the_api() -> WebDriverResult<()> {
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
    fill(&browser, "#forgot-email", "unknown@example.com")
        .await?
        .send_keys(Key::Enter + "")
        .await?;
    wait_for_text(&browser, "#sent-title", "Check your inbox").await?;
    assert!(
        evaluate(&browser, "return window.violations ?? null")
            .await?
            .is_null()
    );
    let urls = evaluate(
        &browser,
        "return performance.getEntriesByType('resource').map(({ name }) => name)",
    )
    .await?;
    let urls = urls.as_array().unwrap();
    let is_allowed = |url: &str| url.starts_with(&page) || url.starts_with(&api);
    assert!(
        urls.len() > 2 && urls.iter().all(|url| is_allowed(url.as_str().unwrap())),
        "{urls:?}"
    );

    check_injection(&browser).await?;
    browser.quit().await
}

/// Checks that the content security policy blocks injected scripts and requests.
async fn check_injection(browser: &WebDriver) -> WebDriverResult<()> {
    let inject = "const script = document.createElement('script'); script.textContent = 'window.injected = 1'; \
        document.body.append(script); document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.injected = 2\">')";
    evaluate(browser, inject).await?;
    let evil =
        "try { await fetch('https://evil.test/'); return 'sent' } catch { return 'blocked' }";
    assert_eq!(evaluate(browser, evil).await?, "blocked");
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

/// See OWASP ASVS 5.0, 6.2.6 and 6.2.7.
#[tokio::test]
async fn password_fields_allow_pasting_and_password_managers() -> WebDriverResult<()> {
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
            "{field}: the page prevents pasting"
        );
    }
    browser.quit().await
}
