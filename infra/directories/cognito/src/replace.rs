//! *replace*: sets a user's password.

use jiff::Timestamp;
use lambda_http::Error;
use rekey::directory::protocol::{Reason, Replace, Replaced, SentPassword};
use rekey::email::Email;
use rekey::fault::Fault;
use rekey::request_id::RequestId;

use crate::pool::Pool;

/// The error for a password that was sent as a hash.
pub const NOT_PLAIN: &str = "Cognito hashes passwords itself, but Rekey sent a hash. \
                             Set UsersPasswordSentAs to plain in Rekey's stack.";

/// Sets a user's password, if the user still has the address and can reset a password.
///
/// Cognito has no conditional write, so some milliseconds lie between the check and the write. It does not record when
/// a password was set either, so the response is never [`Replaced::Overtaken`].
///
/// # Errors
/// Returns an error if the outcome is unknown, or if an operator must act. Rekey does not retry.
pub async fn replace(
    pool: &Pool,
    request: Replace,
    clock: impl Fn() -> Timestamp,
) -> Result<Replaced, Error> {
    let SentPassword::Plain(password) = &request.password else {
        return Err(NOT_PLAIN.into());
    };
    match pool.user(&request.user).await {
        Ok(Some(user)) if Email::parse(&request.email).is_ok_and(|email| user.has(&email)) => {}
        Ok(_) => return Ok(Replaced::Gone),
        Err(fault) if fault.is_transient() => return Ok(later(&request, &fault)),
        Err(fault) => return Err(fault.into()),
    }
    if clock() > request.deadline {
        let fault = Fault::internal("replace.set_password", "DeadlinePassed");
        return Ok(later(&request, &fault));
    }
    match pool.set_password(&request.user, password).await {
        Ok(()) => Ok(Replaced::Replaced),
        Err(fault) => rejected(&request, fault),
    }
}

/// Returns the outcome of a rejected write, or the fault if the outcome is unknown.
fn rejected(request: &Replace, fault: Fault) -> Result<Replaced, Error> {
    let unacceptable = |reason| Ok(Replaced::Unacceptable { reason });
    match fault.code() {
        // The user and the pool were valid a moment ago, so the invalid parameter is the password. Cognito accepts no
        // whitespace at either end, for example.
        "InvalidPasswordException" | "InvalidParameterException" => unacceptable(Reason::TooWeak),
        "PasswordHistoryPolicyViolationException" => unacceptable(Reason::UsedBefore),
        "UserNotFoundException" => Ok(Replaced::Gone),
        "LimitExceededException" | "ThrottlingException" | "TooManyRequestsException" => {
            Ok(later(request, &fault))
        }
        _ => Err(fault.into()),
    }
}

/// Logs the reason for which nothing was set, because Rekey only learns that a retry may succeed.
fn later(request: &Replace, fault: &Fault) -> Replaced {
    let id = RequestId::parse(&request.request_id).unwrap_or_else(|_| RequestId::unknown());
    tracing::warn!(
        request_id = id.as_str(),
        operation = fault.operation(),
        code = fault.code(),
        aws_request_id = fault.aws_request_id(),
        "The password was not set. A retry may succeed."
    );
    Replaced::Later
}

#[cfg(test)]
mod tests {
    use rekey::directory::protocol::{ReplaceAction, Version};
    use serde_json::{Value, json};
    use tokio::time::{Duration, Instant, timeout};

    use super::*;
    use crate::fake::{Answer, Cognito, POOL, alone, ok, rejected, verified};

    const EMAIL: &str = "ada@example.com";
    const PASSWORD: &str = "correct horse";
    const DEADLINE: i64 = 1_763_900_010_123;

    fn request() -> Replace {
        let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        Replace {
            rekey: Version,
            action: ReplaceAction::Replace,
            request_id: "JKJaXmPLvHcESHA=".to_owned(),
            user: "ada".to_owned(),
            email: EMAIL.to_owned(),
            issued_at: time(DEADLINE - 1_000_000),
            changed_at: time(DEADLINE - 10_000),
            deadline: time(DEADLINE),
            password: SentPassword::Plain(PASSWORD.into()),
        }
    }

    fn in_time() -> Timestamp {
        Timestamp::from_millisecond(DEADLINE).unwrap()
    }

    fn ada() -> Answer {
        ok(alone(verified("ada", "Ada@example.com")))
    }

    /// Returns the outcome. A call without a timeout fails the test instead of blocking it.
    async fn outcome(cognito: &Cognito) -> Result<Replaced, Error> {
        let pool = cognito.pool();
        let outcome = timeout(Duration::from_mins(1), replace(&pool, request(), in_time));
        outcome.await.expect("an end")
    }

    #[tokio::test]
    async fn the_password_of_the_user_is_set_for_good() {
        let cognito = Cognito::answering([ada(), ok(json!({}))]);
        assert_eq!(outcome(&cognito).await.unwrap(), Replaced::Replaced);
        let read = json!({ "UserPoolId": POOL, "Username": "ada" });
        let set = json!({
            "UserPoolId": POOL, "Username": "ada", "Password": PASSWORD, "Permanent": true,
        });
        assert_eq!(
            cognito.calls(),
            [
                ("AdminGetUser".to_owned(), read),
                ("AdminSetUserPassword".to_owned(), set)
            ]
        );
    }

    #[tokio::test]
    async fn a_user_who_cannot_reset_now_is_gone() {
        let with = |member: &str, value: Value| {
            let mut user = verified("ada", EMAIL);
            user[member] = value;
            user
        };
        let unverified = json!([{ "Name": "email", "Value": EMAIL }]);
        for user in [
            with("Enabled", json!(false)),
            with("UserStatus", json!("UNCONFIRMED")),
            with("UserStatus", json!("EXTERNAL_PROVIDER")),
            with("Attributes", unverified),
            // Another user took over the name as an alias.
            with("Username", json!("eve")),
            verified("ada", "new@example.com"),
        ] {
            let cognito = Cognito::answering([ok(alone(user.clone()))]);
            assert_eq!(outcome(&cognito).await.unwrap(), Replaced::Gone, "{user}");
        }
        let deleted = Cognito::answering([rejected(400, "UserNotFoundException")]);
        assert_eq!(outcome(&deleted).await.unwrap(), Replaced::Gone);
    }

    #[tokio::test]
    async fn an_invited_user_may_set_the_first_password() {
        let mut invited = verified("ada", EMAIL);
        invited["UserStatus"] = json!("FORCE_CHANGE_PASSWORD");
        let cognito = Cognito::answering([ok(alone(invited)), ok(json!({}))]);
        assert_eq!(outcome(&cognito).await.unwrap(), Replaced::Replaced);
    }

    #[tokio::test]
    async fn a_rejected_write_has_the_outcome_of_its_reason() {
        let unacceptable = |reason| Replaced::Unacceptable { reason };
        for (code, expected) in [
            ("InvalidPasswordException", unacceptable(Reason::TooWeak)),
            ("InvalidParameterException", unacceptable(Reason::TooWeak)),
            (
                "PasswordHistoryPolicyViolationException",
                unacceptable(Reason::UsedBefore),
            ),
            ("UserNotFoundException", Replaced::Gone),
            ("TooManyRequestsException", Replaced::Later),
            ("LimitExceededException", Replaced::Later),
            ("ThrottlingException", Replaced::Later),
        ] {
            // One answer: a retry would panic.
            let cognito = Cognito::answering([ada(), rejected(400, code)]);
            assert_eq!(outcome(&cognito).await.unwrap(), expected, "{code}");
        }
    }

    /// Rekey counts an error as an unknown outcome.
    #[tokio::test(start_paused = true)]
    async fn every_other_failure_of_the_write_is_an_error_after_one_attempt() {
        for answer in [
            rejected(400, "NotAuthorizedException"),
            rejected(400, "ResourceNotFoundException"),
            rejected(500, "InternalErrorException"),
            rejected(503, "ServiceUnavailable"),
            Answer::Response(200, json!("not an object")),
            Answer::Silence,
            Answer::NoConnection,
        ] {
            let case = format!("{answer:?}");
            let cognito = Cognito::answering([ada(), answer]);
            let error = outcome(&cognito).await.expect_err(&case);
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("replace.set_password"), "{shown}");
            for secret in [PASSWORD, "ada", "horse"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            assert_eq!(cognito.operations().len(), 2, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_set_if_the_user_cannot_be_read() {
        let failures: [fn() -> Answer; 5] = [
            || rejected(400, "TooManyRequestsException"),
            || rejected(429, "Novelty"),
            || rejected(500, "InternalErrorException"),
            || Answer::Silence,
            || Answer::NoConnection,
        ];
        for failure in failures {
            let cognito = Cognito::answering((0..3).map(|_| failure()));
            let case = format!("{:?}", failure());
            assert_eq!(outcome(&cognito).await.unwrap(), Replaced::Later, "{case}");
        }
        for code in [
            "NotAuthorizedException",
            "AccessDeniedException",
            "ResourceNotFoundException",
        ] {
            let cognito = Cognito::answering([rejected(400, code)]);
            let error = outcome(&cognito).await.expect_err(code).to_string();
            assert_eq!(error, format!("replace.get_user failed: {code}"));
        }
    }

    #[tokio::test]
    async fn the_write_does_not_begin_after_the_deadline() {
        let late = || Timestamp::from_millisecond(DEADLINE + 1).unwrap();
        let cognito = Cognito::answering([ada()]);
        let outcome = replace(&cognito.pool(), request(), late).await;
        assert_eq!(outcome.unwrap(), Replaced::Later);
    }

    #[tokio::test]
    async fn a_hash_is_an_error_that_names_the_parameter() {
        let hash = SentPassword::Hash("$argon2id$correct horse".into());
        let request = Replace {
            password: hash,
            ..request()
        };
        let cognito = Cognito::answering([]);
        let error = replace(&cognito.pool(), request, in_time).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("UsersPasswordSentAs"), "{error}");
        assert!(!error.contains("argon2id"), "{error}");
    }

    /// The template's timeout is 10 seconds, and so is Rekey's.
    #[tokio::test(start_paused = true)]
    async fn the_slowest_calls_end_within_ten_seconds() {
        let slow = [Answer::Silence, ada(), Answer::Silence];
        let start = Instant::now();
        outcome(&Cognito::answering(slow)).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(9));
    }
}
