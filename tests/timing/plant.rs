//! Planted leaks of known addresses, which the harness must find.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rekey::directory::lookup::Lookup;
use rekey::email::Email;
use rekey::http::problem::Problem;
use rekey::http::request::Request;
use rekey::http::response::Response;
use rekey::lambda::function::{Clock, Function, Record, RecordError};
use rekey::telemetry::Telemetry;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::bench::Bench;

/// The code that runs before the product's public half.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plant {
    Nothing,
    /// Looks up the user, and writes a token if there is one, as most products do.
    LookUpAndWrite,
    /// Looks up the user. The kinds differ only in the result.
    LookUp,
    /// Waits this long for known addresses.
    Delay(Duration),
}

/// A function with a plant before its public half.
pub(crate) struct Planted<'a, F> {
    pub(crate) function: &'a F,
    pub(crate) bench: &'a Bench,
    pub(crate) plant: Plant,
    /// The known addresses.
    pub(crate) known: HashSet<String>,
}

impl<F> Planted<'_, F> {
    async fn run_plant(&self, email: &str) {
        let owner = || async {
            let email = Email::parse(email).unwrap();
            self.bench
                .users
                .find_by_email(&email, self.bench.now())
                .await
                .unwrap()
        };
        match self.plant {
            Plant::Nothing => {}
            Plant::LookUp => drop(owner().await),
            Plant::LookUpAndWrite => {
                if let Lookup::Found(user) = owner().await {
                    self.write(user.email.as_str()).await;
                }
            }
            Plant::Delay(delay) => {
                let start = Instant::now();
                while self.known.contains(email) && start.elapsed() < delay {}
            }
        }
    }

    async fn write(&self, id: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.bench.dynamodb.update_item().table_name("users");
        let update = update
            .key("id", text(id))
            .update_expression("SET reset_token = :token");
        let update = update.expression_attribute_values(":token", text(&"0".repeat(64)));
        update.send().await.unwrap();
    }
}

impl<F: Function> Function for Planted<'_, F> {
    const KEY_PREFIX: &'static str = F::KEY_PREFIX;
    type Row = F::Row;

    async fn handle_request(
        &self,
        request: &Request,
        clock: Clock<'_>,
    ) -> Result<Response, Problem> {
        let body: Value = serde_json::from_slice(request.body.expose_secret()).unwrap();
        self.run_plant(body["email"].as_str().unwrap()).await;
        self.function.handle_request(request, clock).await
    }

    async fn handle_record(
        &self,
        record: Record<Self::Row>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        self.function.handle_record(record, now).await
    }

    fn telemetry(&self) -> &Telemetry {
        self.function.telemetry()
    }
}
