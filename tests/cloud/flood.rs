//! A flood from one source does not keep anybody else from the link.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stack::Stack;
use crate::torture::{report, times};

/// The template's default.
const SOURCE_LIMIT: usize = 100;

#[tokio::test]
async fn under_a_flood_from_one_source_the_others_still_get_their_mail() {
    let seconds = times(5, 60);
    let duration = Duration::from_secs(seconds as u64);
    let deadline = Instant::now() + duration;
    let mut flood = JoinSet::new();
    let flooder = Stack::new();
    for n in 0..32 {
        let client = flooder.client.clone();
        flood.spawn(flood_until(deadline, client, n));
    }

    let mut others = 0;
    while Instant::now() < deadline {
        let stack = Stack::new();
        let email = format!("beside-the-flood-{others}@example.com");
        stack.user(&email).await;
        stack.link(&email).await;
        others += 1;
    }
    let answers: Vec<u16> = flood.join_all().await.into_iter().flatten().collect();

    let accepted = answers.iter().filter(|status| **status == 202).count();
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert!(others > 0);
    assert_eq!(accepted + refused, answers.len(), "nothing but 202 and 429");
    // The flood may meet the end of one window and the beginning of the next.
    let windows = 2 + seconds / 1800;
    assert!(
        accepted <= windows * SOURCE_LIMIT,
        "{accepted} were let through"
    );
    let rate = answers.len() / seconds;
    let shown = format!("{accepted} let through, {others} others got their link, {rate} a second");
    report(
        "a flood from one source at the deployed stack",
        answers.len(),
        &shown,
    );
}

/// Asks for other addresses all the time, and says what was answered.
async fn flood_until(deadline: Instant, client: reqwest::Client, lane: usize) -> Vec<u16> {
    let stack = Stack::of(client);
    let mut answers = Vec::new();
    while Instant::now() < deadline {
        let email = format!("flood-{lane}-{}@example.com", answers.len());
        answers.push(stack.forgot(&email).await.status().as_u16());
    }
    answers
}
