//! TLS roots: Amazon's first, then the platform's.
//!
//! AWS's endpoints chain to five roots of Amazon Trust Services (<https://www.amazontrust.com/repository>, "Trust store
//! and pinning recommendations"). Reading the hundred and more roots of a platform takes longer than the rest of a cold
//! start. So Rekey tries the five first, and falls back to the platform's.
//!
//! The fallback serves partitions with other roots, custom endpoints, and the day when AWS changes its roots. Nothing
//! is pinned: Rekey trusts every root that the platform trusts.

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

/// Returns the HTTP client that all AWS clients share: one pool of connections, and one TLS setup. The SDK's default
/// sets TLS up for each client, and again at the first call of each.
pub(crate) fn client() -> SharedHttpClient {
    let connector = OnceLock::new();
    http_client_fn(move |settings, _| {
        let aws = || SharedHttpConnector::new(Aws::new(settings));
        connector.get_or_init(aws).clone()
    })
}

/// Returns a connector that trusts the platform's roots.
pub fn platform(settings: &HttpConnectorSettings) -> SharedHttpConnector {
    connector(settings, TrustStore::default())
}

/// A connector for AWS, which falls back to the platform's roots.
#[derive(Debug)]
struct Aws {
    amazon: SharedHttpConnector,
    /// Created when a server's certificate does not chain to an Amazon root.
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
        let (copy, amazon) = (request.try_clone(), self.amazon.call(request));
        let (fallback, settings) = (Arc::clone(&self.platform), self.settings.clone());
        HttpConnectorFuture::new(async move {
            match (amazon.await, copy) {
                // The handshake failed, so the request has not been sent yet.
                (Err(error), Some(copy)) if is_of_certificate(&error) => {
                    fallback
                        .get_or_init(|| platform(&settings))
                        .call(copy)
                        .await
                }
                (result, _) => result,
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
        // Building the context cannot fail today. Without one, the connector uses the platform's roots.
        Err(_) => connector.build(),
    })
}

/// Returns whether a connection failed because of the server's certificate.
///
/// Every certificate error counts. An unknown root can also appear as another error, such as an expired certificate on
/// the path to that root.
fn is_of_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error's `source` skips the error that it wraps.
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

    /// The fingerprints are those that Amazon Trust Services publishes, and that Mozilla has.
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
