//! TLS: whom a connection trusts.
//!
//! AWS's endpoints chain to five roots of Amazon Trust Services (<https://www.amazontrust.com/repository>, "Trust store
//! and pinning recommendations"). To read the hundred and more that a platform has takes longer than all the rest of a
//! cold start. So the five are tried first, and the platform's where they will not do: in a partition that has roots of
//! its own, at an endpoint of one's own, or on the day when AWS has others. Nothing is pinned: what the platform trusts is
//! trusted.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// What all clients of AWS share: their connections, and a TLS that is set up once. The SDK's own client sets one up for
/// each of them, and another at each one's first call.
pub(crate) fn client() -> SharedHttpClient {
    let connector = OnceLock::new();
    http_client_fn(move |settings, _| {
        let aws = || SharedHttpConnector::new(Aws::new(settings));
        connector.get_or_init(aws).clone()
    })
}

/// Connections to anybody whom the platform trusts.
pub fn platform(settings: &HttpConnectorSettings) -> SharedHttpConnector {
    connector(settings, TrustStore::default())
}

/// Connections to AWS.
#[derive(Debug)]
struct Aws {
    amazon: SharedHttpConnector,
    /// Made when somebody turns up who is not Amazon's.
    platform: Arc<OnceLock<SharedHttpConnector>>,
    settings: HttpConnectorSettings,
}

impl Aws {
    fn new(settings: &HttpConnectorSettings) -> Self {
        let roots = include_bytes!("amazon_roots.pem").as_slice();
        let roots = TrustStore::empty().with_pem_certificate(roots);
        Self {
            amazon: connector(settings, roots),
            platform: Arc::default(),
            settings: settings.clone(),
        }
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(platform) = self.platform.get() {
            return platform.call(request);
        }
        let (same, amazon) = (request.try_clone(), self.amazon.call(request));
        let (made, settings) = (Arc::clone(&self.platform), self.settings.clone());
        HttpConnectorFuture::new(async move {
            match (amazon.await, same) {
                // Nothing was sent: the server was told that its certificate will not do.
                (Err(error), Some(same)) if is_of_certificate(&error) => {
                    made.get_or_init(|| platform(&settings)).call(same).await
                }
                (answer, _) => answer,
            }
        })
    }
}

fn connector(settings: &HttpConnectorSettings, roots: TrustStore) -> SharedHttpConnector {
    let tls = TlsContext::builder().with_trust_store(roots).build();
    let connector = Connector::builder()
        .connector_settings(settings.clone())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    SharedHttpConnector::new(match tls {
        Ok(tls) => connector.tls_context(tls).build(),
        // It has no way to fail. The platform's roots are its own choice.
        Err(_) => connector.build(),
    })
}

/// Whether a connection failed over the server's certificate. That nobody whom we trust has signed it may be told as
/// something else: that one on the way to a root we do not know has expired, say.
fn is_of_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What an I/O error holds is not its source, but its source's parent.
        next = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|error| error as _),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use crate::digest::sha256_hex;

    /// As published by Amazon Trust Services, and as Mozilla has them.
    #[test]
    fn the_roots_are_the_five_of_amazon_trust_services() {
        let fingerprints: Vec<String> = include_str!("amazon_roots.pem")
            .split("-----BEGIN CERTIFICATE-----")
            .skip(1)
            .map(|rest| {
                let (base64, _) = rest.split_once("-----END CERTIFICATE-----").unwrap();
                sha256_hex(&BASE64.decode(base64.replace('\n', "")).unwrap())
            })
            .collect();
        assert_eq!(
            fingerprints,
            [
                "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
                "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
                "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
                "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
                "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
            ]
        );
    }
}
