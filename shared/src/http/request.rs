//! Requests from a gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::form::Form;
use super::problem::Problem;
use crate::request_id::RequestId;
use crate::source::Source;

/// The largest body that Rekey reads, in bytes.
pub const MAX_BODY: usize = 8 * 1024;

/// The parts of a gateway's event that the functions use.
#[derive(Debug)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// The body, which may hold a password.
    pub body: SecretSlice<u8>,
    /// The source, as the gateway reports it.
    pub source: Source,
    /// The ID of the request in every log.
    pub id: RequestId,
}

impl Request {
    /// Returns the method and the route, for a function to match on.
    ///
    /// A gateway's stage or base path may precede the route. Without a gateway's routes in front, such as under `cargo
    /// lambda watch`, any other path can arrive here too.
    pub fn route(&self) -> (&str, &str) {
        let start = self.path.rfind("/password/").unwrap_or_default();
        (&self.method, self.path.get(start..).unwrap_or_default())
    }

    /// Parses a JSON body.
    ///
    /// # Errors
    /// Returns [`Problem::NotJson`], [`Problem::TooLarge`], or [`Problem::Malformed`], checked in this order. serde's
    /// messages are dropped, because they repeat the input.
    pub fn form(&self) -> Result<Form, Problem> {
        let media_type = self
            .content_type
            .as_deref()
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(Problem::NotJson);
        }
        let body = self.body.expose_secret();
        if body.len() > MAX_BODY {
            return Err(Problem::TooLarge);
        }
        // serde does not check the encoding of fields that it skips.
        let text = str::from_utf8(body).map_err(|_| Problem::Malformed)?;
        serde_json::from_str(text).map_err(|_| Problem::Malformed)
    }
}

/// Decodes the body of a gateway's event. A body with invalid base64 is empty, and so not valid JSON either.
pub(crate) fn decode_body(text: Option<&SecretString>, is_base64: bool) -> SecretSlice<u8> {
    let text = text.map_or("", |text| text.expose_secret());
    if is_base64 {
        BASE64.decode(text).unwrap_or_default().into()
    } else {
        text.as_bytes().to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, body: Vec<u8>) -> Request {
        Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            content_type: Some("Application/JSON ; charset=utf-8".to_owned()),
            body: body.into(),
            source: Source::parse(None),
            id: RequestId::parse("id").unwrap(),
        }
    }

    #[test]
    fn a_stage_or_a_base_path_may_precede_the_route() {
        for path in [
            "/password/forgot",
            "/prod/password/forgot",
            "/password/password/forgot",
        ] {
            assert_eq!(
                request(path, Vec::new()).route(),
                ("POST", "/password/forgot")
            );
        }
        for other in ["", "/", "/passwords/forgot", "password/forgot"] {
            assert_eq!(request(other, Vec::new()).route(), ("POST", other));
        }
    }

    #[test]
    fn a_body_over_8_kib_is_too_large() {
        let form = |length: usize| {
            let body = format!("{{{}}}", " ".repeat(length - 2));
            request("/", body.into()).form()
        };
        assert!(form(MAX_BODY).is_ok());
        assert!(matches!(form(MAX_BODY + 1), Err(Problem::TooLarge)));
    }

    #[test]
    fn invalid_utf_8_in_any_field_is_malformed() {
        for field in ["email", "x"] {
            let body = [b"{\"", field.as_bytes(), b"\":\"\xff\"}"].concat();
            let form = request("/", body).form();
            assert!(matches!(form, Err(Problem::Malformed)), "{field}");
        }
    }
}
