//! A flood from one source does not delay links for other users.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stack::Stack;
use support::torture::{report, times};

/// The template's default of `SourceLimit`.
const SOURCE_LIMIT: usize = 100;

#[tokio::test]
async fn other_sources_get_links_during_a_flood_from_one_source() {
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
    let statuses: Vec<u16> = flood.join_all().await.into_iter().flatten().collect();

    let accepted = statuses.iter().filter(|status| **status == 202).count();
    let rejected = statuses.iter().filter(|status| **status == 429).count();
    assert!(others > 0);
    assert_eq!(accepted + rejected, statuses.len(), "only 202 and 429");
    // The flood may start at the end of one window and continue in the next.
    let windows = 2 + seconds / 1800;
    assert!(
        accepted <= windows * SOURCE_LIMIT,
        "{accepted} requests were accepted"
    );
    let rate = statuses.len() / seconds;
    let shown = format!(
        "{accepted} accepted, {others} other users got their link, {rate} requests a second"
    );
    report(
        "a flood from one source at the deployed stack",
        statuses.len(),
        &shown,
    );
}

/// Requests a link for a new address in a loop, and returns the statuses of the responses.
async fn flood_until(deadline: Instant, client: reqwest::Client, lane: usize) -> Vec<u16> {
    let stack = Stack::of(client);
    let mut statuses = Vec::new();
    while Instant::now() < deadline {
        let email = format!("flood-{lane}-{}@example.com", statuses.len());
        statuses.push(stack.forgot(&email).await.status().as_u16());
    }
    statuses
}
