//! The ways in which each call to AWS can fail.

use rekey::aws;

use crate::deployment::ADA;
use crate::faults::{Fault, Reply};

/// The divisor of the product's timeouts in tests of faults.
pub const TIMEOUT_DIVISOR: u32 = 4;

/// Returns the faults of a call.
pub fn faults_of(call: &str) -> Vec<Fault> {
    let mut faults: Vec<Fault> = [
        (400, "ThrottlingException"),
        (429, "TooManyRequestsException"),
        (400, "ProvisionedThroughputExceededException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (400, "AccessDeniedException"),
        (400, "RequestExpired"),
    ]
    .map(|(status, code)| Fault::rejected(status, code, ADA))
    .into();
    let expired = format!("Signature expired: {ADA}");
    faults.push(Fault::rejected(403, "InvalidSignatureException", &expired));
    let timeout = if call == "SendEmail" {
        aws::SES_TIMEOUT
    } else {
        aws::DYNAMODB_TIMEOUT / 2
    } / TIMEOUT_DIVISOR;
    for is_done in [true, false] {
        let error = Fault::rejected(500, "InternalServerError", ADA).reply;
        for reply in [
            error,
            Reply::Nothing,
            Reply::Closed,
            Reply::Garbage,
            Reply::Truncated,
        ] {
            faults.push(Fault { is_done, reply });
        }
    }
    for delay in [timeout / 4, timeout * 2] {
        faults.push(Fault {
            is_done: true,
            reply: Reply::Late(delay),
        });
    }
    if call == "TransactWriteItems" {
        faults.push(Fault::conflict());
        faults.push(Fault::canceled("ThrottlingError"));
        faults.push(Fault::canceled("ProvisionedThroughputExceeded"));
    }
    faults
}
