//! The table "Every gap" of `docs/directories.md`.

use serde_json::{Value, json};

use support::app::TestApp;
use support::deployment::PASSWORD;
use support::faults::{EVERY, Fault, Reply};

const CLAIM: &str = "TransactWriteItems";

/// One failure, and what follows from it.
pub(crate) struct Gap {
    pub(crate) failure: &'static str,
    pub(crate) plan: fn(&TestApp),
    /// Whether the public half ends during the invocation.
    pub(crate) ends: bool,
    /// Whether Rekey waits for a response until its timeout.
    pub(crate) times_out: bool,
    pub(crate) effect: Effect,
}

/// The response to the caller, and the state of the password, the link, and the owner's mailbox in the end.
pub(crate) type Effect = (Answer, Password, After, Owner);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The public half ended first.
    Nothing,
    Done,
    /// 422 for the token.
    BadToken,
    /// 422 for the password.
    BadPassword,
    Unavailable,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Password {
    Unchanged,
    Replaced,
}

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum After {
    Works,
    Dead,
}

/// The email that the owner gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Owner {
    Nothing,
    Notice,
    Uncertain,
}

pub(crate) fn lost(is_done: bool) -> Fault {
    Fault {
        is_done,
        reply: Reply::Closed,
    }
}

pub(crate) fn unanswered(is_done: bool) -> Fault {
    Fault {
        is_done,
        reply: Reply::Nothing,
    }
}

pub(crate) fn respond(app: &TestApp, response: &Value) {
    app.aws.directory.respond_with(&response.to_string());
}

fn denied(app: &TestApp, status: u16, code: &str) {
    let fault = Fault::rejected(status, code, "");
    app.aws.inject("Replace", 1, fault);
}

fn change_address(app: &TestApp) {
    let address = "eve@example.com".to_owned();
    app.aws.directory.change("42", |user| user.email = address);
}

/// Loses all transactions after the claim.
fn lose_settlement(app: &TestApp) {
    app.aws.succeed(CLAIM, 1);
    app.aws.inject(CLAIM, EVERY, lost(false));
}

const fn gap(failure: &'static str, plan: fn(&TestApp), effect: Effect) -> Gap {
    Gap {
        failure,
        plan,
        ends: false,
        times_out: false,
        effect,
    }
}

impl Gap {
    /// The same failure, after which the public half ends.
    const fn and_end(self) -> Self {
        Self { ends: true, ..self }
    }

    /// The same failure, which Rekey notices by its timeout.
    const fn by_timeout(self) -> Self {
        Self {
            times_out: true,
            ..self
        }
    }
}

/// The link works, and the owner gets nothing.
const GIVEN_BACK: Effect = (
    Answer::Unavailable,
    Password::Unchanged,
    After::Works,
    Owner::Nothing,
);
/// The same, if a retry would not help.
const REJECTED_BY_LAMBDA: Effect = (
    Answer::Internal,
    Password::Unchanged,
    After::Works,
    Owner::Nothing,
);
/// Nothing was replaced, but Rekey cannot know that.
const UNKNOWN: Effect = (
    Answer::Unavailable,
    Password::Unchanged,
    After::Dead,
    Owner::Uncertain,
);
/// The link was dead anyway.
const NOT_DONE: Effect = (
    Answer::BadToken,
    Password::Unchanged,
    After::Dead,
    Owner::Nothing,
);

pub(crate) const GAPS: [Gap; 22] = [
    gap(
        "nothing",
        |_| {},
        (Answer::Done, Password::Replaced, After::Dead, Owner::Notice),
    ),
    gap(
        "a call before the claim fails",
        |app| app.aws.inject("Query", EVERY, lost(false)),
        GIVEN_BACK,
    ),
    gap(
        "the claim is lost",
        |app| {
            app.aws.inject(CLAIM, EVERY, lost(false));
        },
        GIVEN_BACK,
    ),
    gap(
        "the claim's response is lost",
        |app| {
            app.aws.inject(CLAIM, EVERY, lost(true));
        },
        UNKNOWN,
    ),
    gap(
        "the public half ends between the claim and the invocation",
        |app| {
            app.aws.inject("Replace", 1, unanswered(false));
        },
        (
            Answer::Nothing,
            Password::Unchanged,
            After::Dead,
            Owner::Uncertain,
        ),
    )
    .and_end(),
    gap(
        "Lambda throttles the invocation",
        |app| denied(app, 429, "TooManyRequestsException"),
        GIVEN_BACK,
    ),
    gap(
        "Lambda denies the invocation",
        |app| denied(app, 403, "AccessDeniedException"),
        REJECTED_BY_LAMBDA,
    ),
    gap(
        "the function does not exist",
        |app| denied(app, 404, "ResourceNotFoundException"),
        REJECTED_BY_LAMBDA,
    ),
    gap(
        "the function rejects the password",
        |app| {
            respond(
                app,
                &json!({ "outcome": "unacceptable", "reason": "used_before" }),
            );
        },
        (
            Answer::BadPassword,
            Password::Unchanged,
            After::Works,
            Owner::Nothing,
        ),
    ),
    gap(
        "the function answers later",
        |app| {
            respond(app, &json!({ "outcome": "later" }));
        },
        GIVEN_BACK,
    ),
    gap(
        "the user has another address",
        |app| {
            change_address(app);
        },
        NOT_DONE,
    ),
    gap(
        "the application changed the password",
        |app| {
            app.aws
                .directory
                .change("42", |user| user.changed_at = f64::MAX);
        },
        NOT_DONE,
    ),
    gap(
        "the function does not answer",
        |app| {
            app.aws.inject("Replace", 1, unanswered(false));
        },
        UNKNOWN,
    )
    .by_timeout(),
    gap(
        "the function's response is lost",
        |app| {
            app.aws.inject("Replace", 1, lost(true));
        },
        (
            Answer::Unavailable,
            Password::Replaced,
            After::Dead,
            Owner::Uncertain,
        ),
    ),
    gap(
        "the function fails",
        |app| {
            respond(
                app,
                &json!({ "errorType": "Error", "errorMessage": PASSWORD }),
            );
        },
        UNKNOWN,
    ),
    gap(
        "Lambda fails",
        |app| denied(app, 500, "ServiceException"),
        UNKNOWN,
    ),
    gap(
        "the function's response is not of the protocol",
        |app| {
            respond(app, &json!({ "outcome": "perhaps" }));
        },
        UNKNOWN,
    ),
    gap(
        "the function commits, and the public half ends",
        |app| {
            app.aws.inject("Replace", 1, unanswered(true));
        },
        (
            Answer::Nothing,
            Password::Replaced,
            After::Dead,
            Owner::Uncertain,
        ),
    )
    .and_end(),
    gap(
        "settling fails after the function replaced the password",
        |app| {
            lose_settlement(app);
        },
        (
            Answer::Done,
            Password::Replaced,
            After::Dead,
            Owner::Uncertain,
        ),
    ),
    gap(
        "settling fails after the function found another address",
        |app| {
            change_address(app);
            lose_settlement(app);
        },
        (
            Answer::BadToken,
            Password::Unchanged,
            After::Dead,
            Owner::Uncertain,
        ),
    ),
    gap(
        "giving back fails",
        |app| {
            respond(app, &json!({ "outcome": "later" }));
            lose_settlement(app);
        },
        UNKNOWN,
    ),
    gap(
        "giving back fails after the function rejected the password",
        |app| {
            respond(
                app,
                &json!({ "outcome": "unacceptable", "reason": "too_weak" }),
            );
            lose_settlement(app);
        },
        UNKNOWN,
    ),
];
