//! The documented front-end snippet, in Chromium.

use serde_json::json;
use thirtyfour::prelude::*;

use crate::browser::{ChromeDriver, evaluate};
use crate::stack::{Stack, variable};
use support::deployment::PASSWORD;

/// Returns the documented front-end snippet as a reader would paste it, with the API's URL filled in.
fn front_end_snippet() -> String {
    let guide = std::fs::read_to_string("docs/front-end.md").unwrap();
    let (_, rest) = guide.split_once("```js\n").unwrap();
    let (snippet, _) = rest.split_once("```").unwrap();
    let placeholder = "https://….execute-api.eu-central-1.amazonaws.com";
    assert!(snippet.contains(placeholder), "{snippet}");
    snippet.replace(placeholder, &variable("API_URL"))
}

#[tokio::test]
async fn the_documented_snippet_works_with_either_link_placement() -> WebDriverResult<()> {
    let stack = Stack::new();
    let chromedriver = ChromeDriver::start();
    let browser = chromedriver.open().await;
    // Use a document of the allowed origin without scripts: the page's script would remove the link first.
    let empty = format!("{}page.css", variable("PAGE_URL"));
    // `kept` is the application's own part of the URL, which must stay.
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
        let parts = format!("email={}&token={}", link.email, link.token);
        browser.goto("about:blank").await?;
        browser
            .goto(&format!("{empty}{before}{parts}{after}"))
            .await?;
        let script = format!(
            "{}; const answers = []; for (const password of ['short', '{PASSWORD}']) {{ \
             const answer = await reset(password); \
             answers.push(answer.status, (await answer.text()).includes('at least 8 characters')); }} \
             return [...answers, (await forgot('{email}')).status, location.href]",
            front_end_snippet()
        );
        let expected = json!([422, true, 204, false, 202, format!("{empty}{kept}")]);
        assert_eq!(evaluate(&browser, &script).await?, expected, "{before}");
        assert!(stack.accepts(email, PASSWORD).await);
    }
    browser.quit().await
}
