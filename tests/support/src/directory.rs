//! The team's two directory functions, as a map in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde_json::{Value, json};

pub const FIND: &str = "arn:aws:lambda:us-east-1:123456789012:function:find";
pub const REPLACE: &str = "arn:aws:lambda:us-east-1:123456789012:function:replace:live";

/// The settings of a deployment with directory functions.
pub const FUNCTIONS: [(&str, &str); 2] = [
    ("USERS_FIND_FUNCTION", FIND),
    ("USERS_REPLACE_FUNCTION", REPLACE),
];

/// A user of the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryUser {
    pub email: String,
    /// The last password or hash, as *replace* received it.
    pub password: Value,
    /// The time of the last change, in seconds since 1970.
    pub changed_at: f64,
    pub locale: Option<String>,
    pub name: Option<String>,
}

/// A directory that replaces a password only if the address matches and no later change was made.
#[derive(Debug, Default)]
pub struct Directory {
    users: Mutex<BTreeMap<String, DirectoryUser>>,
    /// The responses that replace the true ones.
    responses: Mutex<VecDeque<String>>,
    requests: Mutex<Vec<Value>>,
}

impl Directory {
    /// Adds a user, or replaces one.
    pub fn add(&self, id: &str, email: &str) {
        let user = DirectoryUser {
            email: email.to_owned(),
            password: json!("old"),
            changed_at: 0.0,
            locale: None,
            name: None,
        };
        self.users.lock().unwrap().insert(id.to_owned(), user);
    }

    /// Changes a user, as the application does.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut DirectoryUser)) {
        change(self.users.lock().unwrap().get_mut(id).unwrap());
    }

    pub fn remove(&self, id: &str) {
        self.users.lock().unwrap().remove(id);
    }

    pub fn user(&self, id: &str) -> DirectoryUser {
        self.users.lock().unwrap()[id].clone()
    }

    /// Makes the next invocation do nothing and return this response.
    pub fn respond_with(&self, response: &str) {
        self.responses
            .lock()
            .unwrap()
            .push_back(response.to_owned());
    }

    /// Returns the requests to *replace* since they were last taken.
    pub fn take_replacements(&self) -> Vec<Value> {
        let mut requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests.retain(|request| request["action"] == "replace");
        requests
    }

    /// Runs a request, and returns the function's response.
    pub fn invoke(&self, request: &Value) -> String {
        self.requests.lock().unwrap().push(request.clone());
        if let Some(response) = self.responses.lock().unwrap().pop_front() {
            return response;
        }
        assert_eq!(request["rekey"], 1);
        let response = match request["action"].as_str() {
            Some("find") => self.find(request),
            Some("replace") => json!({ "outcome": self.replace(request) }),
            _ => panic!("{request}"),
        };
        response.to_string()
    }

    fn find(&self, request: &Value) -> Value {
        let users = self.users.lock().unwrap();
        let users = users
            .iter()
            .filter(|(_, user)| request["email"] == user.email.to_lowercase());
        let users = users.map(|(id, user)| {
            json!({ "id": id, "email": user.email, "locale": user.locale, "name": user.name })
        });
        json!({ "users": users.collect::<Vec<_>>() })
    }

    fn replace(&self, request: &Value) -> &'static str {
        let mut users = self.users.lock().unwrap();
        let Some(user) = users.get_mut(request["user"].as_str().unwrap()) else {
            return "gone";
        };
        if request["email"] != user.email.to_lowercase() {
            return "gone";
        }
        if user.changed_at >= request["issued_at"].as_f64().unwrap() {
            return "overtaken";
        }
        user.password = request["password"].clone();
        user.changed_at = request["changed_at"].as_f64().unwrap();
        "replaced"
    }
}
