//! *find*: the users with an address who can reset a password now.

use lambda_http::Error;
use rekey::directory::protocol::{Find, Found};
use rekey::email::Email;

use crate::pool::Pool;
use crate::user::User;

/// Finds the users with an address.
///
/// # Errors
/// Returns an error if Cognito rejects the call or does not answer. Rekey retries.
pub async fn find(pool: &Pool, request: Find) -> Result<Found, Error> {
    // Rekey has parsed the address. Another caller may not have, and only a parsed address is safe in a filter.
    let users = match Email::parse(&request.email) {
        Ok(email) => pool.users_with(&email).await?,
        Err(_) => Vec::new(),
    };
    Ok(Found {
        users: users.into_iter().map(User::into_found).collect(),
    })
}

#[cfg(test)]
mod tests {
    use rekey::directory::protocol::{FindAction, FoundUser, Version};
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{Answer, Cognito, POOL, ok, rejected, user, verified};

    const EMAIL: &str = "ada@example.com";

    fn request(email: &str) -> Find {
        Find {
            rekey: Version,
            action: FindAction::Find,
            request_id: "JKJaXmPLvHcESHA=".to_owned(),
            email: email.to_owned(),
        }
    }

    fn page(users: &[Value]) -> Answer {
        ok(json!({ "Users": users }))
    }

    fn page_before_another(users: &[Value]) -> Answer {
        ok(json!({ "Users": users, "PaginationToken": "next" }))
    }

    async fn found(cognito: &Cognito, email: &str) -> Vec<FoundUser> {
        let found = find(&cognito.pool(), request(email)).await;
        found.unwrap().users
    }

    async fn ids(users: &[Value]) -> Vec<String> {
        let found = found(&Cognito::answering([page(users)]), EMAIL).await;
        found.into_iter().map(|user| user.id).collect()
    }

    #[tokio::test]
    async fn a_user_is_found_with_language_and_name() {
        let attributes = [
            ("sub", "b1f7"),
            ("email", "Ada@Example.com"),
            ("email_verified", "true"),
            ("locale", "de-AT"),
            ("given_name", "Ada"),
        ];
        let cognito = Cognito::answering([page(&[user("ada", &attributes)])]);
        let expected = FoundUser {
            id: "ada".to_owned(),
            email: "Ada@Example.com".to_owned(),
            locale: Some("de-AT".to_owned()),
            name: Some("Ada".to_owned()),
        };
        assert_eq!(found(&cognito, EMAIL).await, [expected]);
        let call =
            json!({ "UserPoolId": POOL, "Filter": "email = \"ada@example.com\"", "Limit": 60 });
        assert_eq!(cognito.calls(), [("ListUsers".to_owned(), call)]);
    }

    #[tokio::test]
    async fn language_and_name_may_be_absent() {
        let cognito = Cognito::answering([page(&[verified("ada", EMAIL)])]);
        let found = found(&cognito, EMAIL).await;
        assert_eq!((&found[0].locale, &found[0].name), (&None, &None));
    }

    #[tokio::test]
    async fn only_users_with_a_password_in_the_pool_are_found() {
        for (status, is_found) in [
            (json!("CONFIRMED"), true),
            (json!("RESET_REQUIRED"), true),
            (json!("FORCE_CHANGE_PASSWORD"), true),
            (json!("UNCONFIRMED"), false),
            (json!("EXTERNAL_PROVIDER"), false),
            (json!("ARCHIVED"), false),
            (json!("COMPROMISED"), false),
            (json!("UNKNOWN"), false),
            (json!("NOVELTY"), false),
            (json!(null), false),
        ] {
            let mut user = verified("ada", EMAIL);
            user["UserStatus"] = status.clone();
            assert_eq!(ids(&[user]).await.len(), usize::from(is_found), "{status}");
        }
    }

    #[tokio::test]
    async fn a_disabled_user_is_not_found() {
        for enabled in [json!(false), json!(null)] {
            let mut user = verified("ada", EMAIL);
            user["Enabled"] = enabled;
            assert_eq!(ids(&[user]).await, [""; 0]);
        }
    }

    #[tokio::test]
    async fn an_unverified_or_different_address_is_not_found() {
        for attributes in [
            [("email", EMAIL), ("email_verified", "false")].as_slice(),
            &[("email", EMAIL)],
            &[("email_verified", "true")],
            &[("email", "eve@example.com"), ("email_verified", "true")],
            &[
                ("email", "ada@example.com.evil.example"),
                ("email_verified", "true"),
            ],
        ] {
            assert_eq!(ids(&[user("ada", attributes)]).await, [""; 0]);
        }
    }

    #[tokio::test]
    async fn users_that_differ_only_in_case_are_both_found() {
        let users = [verified("one", EMAIL), verified("two", "ADA@example.com")];
        assert_eq!(ids(&users).await, ["one", "two"]);
    }

    #[tokio::test]
    async fn an_address_that_could_end_the_filter_is_never_sent() {
        for email in [
            "ada@example.com\" or email ^= \"",
            "\"ada\"@example.com",
            "ada\\@example.com",
            "ada\\\"@example.com",
            "ada@exam\"ple.com",
            "\"",
            "\\",
            "",
            "ada",
        ] {
            let cognito = Cognito::answering([]);
            assert_eq!(found(&cognito, email).await, [], "{email}");
            assert_eq!(cognito.calls(), [], "{email}");
        }
    }

    #[tokio::test]
    async fn unusual_but_valid_addresses_are_sent_as_they_are() {
        let email = "o'brien+!#$%&*/=?^_`{|}~@example.com";
        let cognito = Cognito::answering([page(&[verified("ada", email)])]);
        assert_eq!(found(&cognito, email).await.len(), 1);
        let filter = &cognito.calls()[0].1["Filter"];
        assert_eq!(filter, &json!(format!("email = \"{email}\"")));
    }

    #[tokio::test]
    async fn strangers_cannot_hide_a_user_behind_many_sign_ups() {
        let mut unconfirmed = verified("eve", EMAIL);
        unconfirmed["UserStatus"] = json!("UNCONFIRMED");
        let strangers = || page_before_another(&vec![unconfirmed.clone(); 60]);
        let cognito =
            Cognito::answering([strangers(), strangers(), page(&[verified("ada", EMAIL)])]);
        assert_eq!(found(&cognito, EMAIL).await[0].id, "ada");
        assert_eq!(cognito.calls()[2].1["PaginationToken"], "next");
        let cognito = Cognito::answering((0..10).map(|_| strangers()));
        assert_eq!(found(&cognito, EMAIL).await, []);
    }

    #[tokio::test]
    async fn two_users_are_enough() {
        let users = [verified("one", EMAIL), verified("two", EMAIL)];
        let cognito = Cognito::answering([page_before_another(&users)]);
        assert_eq!(found(&cognito, EMAIL).await.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_call_is_retried() {
        let throttled = rejected(400, "TooManyRequestsException");
        let cognito = Cognito::answering([throttled, page(&[verified("ada", EMAIL)])]);
        assert_eq!(found(&cognito, EMAIL).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_is_an_error_without_the_address() {
        for answers in [
            vec![rejected(400, "NotAuthorizedException")],
            vec![rejected(400, "InvalidParameterException")],
            vec![Answer::Silence, Answer::Silence, Answer::Silence],
        ] {
            let cognito = Cognito::answering(answers);
            let error = find(&cognito.pool(), request(EMAIL)).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("find.list_users"), "{shown}");
            assert!(
                !shown.contains("ada") && !shown.contains("horse"),
                "{shown}"
            );
        }
    }
}
