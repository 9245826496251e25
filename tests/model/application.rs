//! The application, which changes, restores, and deletes the user.

use rekey::directory::schema::CHANGED_AT;

use crate::action::Action;
use crate::clock::time;
use crate::dynamodb::rows::Value;
use crate::names::{ADA, COUNTESS, user_key};
use crate::state::{By, Replacement, State};

/// Applies an action of the application. Returns `None` if the item to write to is missing.
pub(crate) fn apply_application_action(state: &mut State, action: &Action) -> Option<()> {
    match action {
        Action::ChangeAddress => {
            let is_ada = state.user()?["email"].text() == ADA;
            let other = if is_ada { COUNTESS } else { ADA };
            state.write_user("email", Value::from_text(other));
            state.writes += 1;
        }
        Action::Replace => {
            state.write_user("password_hash", Value::from_text("the application's"));
            state.write_user(CHANGED_AT, Value::N(time(state.clock).as_millisecond()));
            state.changes.push(Replacement {
                at: state.clock,
                by: By::Application,
            });
            state.writes += 1;
        }
        Action::Read => state.read = state.rows.get(&user_key()).cloned(),
        Action::PutBack => {
            let item = state.read.take()?;
            let password = item["password_hash"].clone();
            state.rows.insert(user_key(), item);
            state.changes.push(Replacement {
                at: state.clock,
                by: By::PutBack(password),
            });
            state.writes += 1;
        }
        Action::Delete => {
            state.rows.remove(&user_key());
            state.writes += 1;
        }
        other => panic!("{other:?}"),
    }
    Some(())
}
