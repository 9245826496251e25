//! What happens to a link if its user changes in the meantime. `make test` runs these tests with each kind of directory.

use crate::directory_users::OLD_PASSWORD;
use crate::stack::{Stack, is_rejected};
use support::deployment::PASSWORD;

/// Users who had an email, and have this address no longer.
pub(crate) const MOVED: &str = "directory-moved@example.com";
pub(crate) const DISABLED: &str = "directory-disabled@example.com";

#[tokio::test]
async fn a_link_to_an_old_address_is_rejected() {
    let (old, new) = (MOVED, "directory-moved-to@example.com");
    let stack = Stack::new();
    stack.user(old).await;
    let link = stack.link(old).await;
    stack.change_address(old, new).await;
    assert!(is_rejected(stack.reset(&link, PASSWORD).await).await);

    // An old mailbox must not invalidate the links to the new address.
    let link = stack.link(new).await;
    assert_eq!(stack.reset(&link, PASSWORD).await.status(), 204);
}

#[tokio::test]
async fn a_disabled_user_gets_no_link_and_cannot_use_one() {
    let email = DISABLED;
    let stack = Stack::new();
    stack.user(email).await;
    let link = stack.link(email).await;
    stack.disable(email).await;
    assert!(is_rejected(stack.reset(&link, PASSWORD).await).await);

    stack.set_time(email, "request#", "requested_at", 1).await;
    assert_eq!(stack.forgot(email).await.status(), 202);
    stack.wait_for_the_stream().await;
    assert_eq!(stack.emails_to(email).await.len(), 1, "no second link");
}

#[tokio::test]
async fn a_user_can_reset_a_password_again_and_again() {
    let email = "directory-again@example.com";
    let stack = Stack::new();
    stack.user(email).await;
    let mut last = OLD_PASSWORD.to_owned();
    for n in 0..3 {
        let link = stack.link(email).await;
        let password = format!("the password of round {n}");
        assert_eq!(stack.reset(&link, &password).await.status(), 204);
        assert!(stack.accepts(email, &password).await);
        assert!(!stack.accepts(email, &last).await);
        stack.set_time(email, "request#", "requested_at", 1).await;
        // A link is issued in a later millisecond than the change.
        stack.wait_for_emails(email, 2 * (n + 1)).await;
        last = password;
    }
}
