//! The clients of a deployment, and the operations that need several of them.

use std::io::Write;

use aws_config::SdkConfig;
use jiff::SignedDuration;

use crate::aws;
use crate::config::Env;
use crate::directory::Directory;
use crate::limits::Limits;
use crate::mailer::{Mailer, Sender, parse_single_line};
use crate::table::Table;
use crate::telemetry::Telemetry;

/// The clients and the common settings of a deployment.
#[derive(Debug)]
pub struct Services {
    /// The Rekey table.
    pub table: Table,
    /// The team's users.
    pub directory: Directory,
    /// SES.
    pub mailer: Mailer,
    /// The log.
    pub telemetry: Telemetry,
    /// The product's name in emails.
    pub product: String,
    /// The lifetime of a link.
    pub token_lifetime: SignedDuration,
}

impl Services {
    /// Reads the settings that both functions need, and creates the clients. Logs to `log`.
    pub fn read(env: &mut Env<'_>, sdk: &SdkConfig, log: Box<dyn Write + Send>) -> Option<Self> {
        let stack = env.text("STACK_NAME");
        let table = env.text("REKEY_TABLE");
        let lifetime = env.number("TOKEN_LIFETIME_MINUTES", 60, 5..=1440);
        let lifetime = lifetime.map(|minutes| SignedDuration::from_mins(minutes.into()));
        let limits = Limits::read(env, lifetime);
        let dynamodb = aws::dynamodb(sdk);
        let directory = Directory::read(env, sdk, dynamodb.clone());
        let sender = Sender::read(env);
        let product = env.required("PRODUCT_NAME", parse_single_line);
        Some(Self {
            table: Table::new(dynamodb, table?, limits?),
            directory: directory?,
            mailer: Mailer::new(sdk, sender?),
            telemetry: Telemetry::new(stack?, log),
            product: product?,
            token_lifetime: lifetime?,
        })
    }
}
