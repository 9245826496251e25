//! What both functions act upon, as the environment names it.

use std::io::Write;

use aws_config::SdkConfig;
use jiff::SignedDuration;

use crate::aws;
use crate::config::Env;
use crate::limits::Limits;
use crate::mail::{self, Mailer, Sender};
use crate::table::Table;
use crate::telemetry::Telemetry;
use crate::users::{Schema, Users};

/// One deployment of Rekey.
#[derive(Debug)]
pub struct Services {
    /// The Rekey table.
    pub table: Table,
    /// The team's users.
    pub users: Users,
    /// SES.
    pub mailer: Mailer,
    /// The log.
    pub telemetry: Telemetry,
    /// What the mails call the team's product.
    pub product: String,
    /// How long a link lives.
    pub token_lifetime: SignedDuration,
}

impl Services {
    /// Reads what both functions need from the environment; logs to `log`.
    pub fn read(env: &mut Env<'_>, sdk: &SdkConfig, log: Box<dyn Write + Send>) -> Option<Self> {
        let stack = env.text("STACK_NAME");
        let table = env.text("REKEY_TABLE");
        let lifetime = env.number("TOKEN_LIFETIME_MINUTES", 60, 5..=1440);
        let lifetime = lifetime.map(|minutes| SignedDuration::from_mins(minutes.into()));
        let limits = Limits::read(env, lifetime);
        let users = Schema::read(env);
        let sender = Sender::read(env);
        let product = env.required("PRODUCT_NAME", mail::parse_single_line);
        let dynamodb = aws::dynamodb(sdk);
        Some(Self {
            table: Table::new(dynamodb.clone(), table?, limits?),
            users: Users::new(dynamodb, users?),
            mailer: Mailer::new(sdk, sender?),
            telemetry: Telemetry::new(stack?, log),
            product: product?,
            token_lifetime: lifetime?,
        })
    }
}
