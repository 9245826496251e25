//! The names of the model's user, tokens, requests, and changes, and the keys of their rows.

use rekey::token::Token;
use rekey::user::UserKey;

use crate::dynamodb::rows::{Item, Key, Value};

pub(crate) const ADA: &str = "ada@example.com";
/// The address that the application sets for Ada. No user has it at first.
pub(crate) const COUNTESS: &str = "countess@example.com";

pub(crate) fn ada() -> UserKey {
    UserKey::text("1".to_owned())
}

pub(crate) fn address(email: &str) -> &'static str {
    if email == ADA { ADA } else { COUNTESS }
}

pub(crate) fn secret(token: usize) -> Token {
    Token::parse(&format!("{token:064x}")).unwrap()
}

pub(crate) fn hash_of(token: usize) -> String {
    format!("hash of the password for token {token}")
}

pub(crate) fn token_key(token: usize) -> Key {
    rekey_key(&format!("token#{}", secret(token).hash().as_str()))
}

pub(crate) fn rekey_key(key: &str) -> Key {
    Key {
        table: "rekey",
        key: Value::from_text(key),
    }
}

pub(crate) fn user_key() -> Key {
    Key {
        table: "users",
        key: Value::from_text("1"),
    }
}

/// Returns the request ID of a row in the stream.
pub(crate) fn id_of(item: &Item) -> &str {
    item["request_id"].text()
}

pub(crate) fn request_id(request: usize) -> String {
    format!("request-{request}")
}

pub(crate) fn change_id(change: usize) -> String {
    format!("change-{change}")
}
