//! The servers that the functions trust: those whose certificate chains to a root of the platform, Amazon's or not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedIssuer, KeyPair};
use rekey::aws;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::process::Process;
use support::app::TestApp;
use support::deployment::{ADA, PAGE};

/// An AWS behind TLS, whose certificate chains to a private root.
struct PrivateAws {
    endpoint: String,
    root: PathBuf,
    /// The number of completed TLS handshakes.
    trusted: Arc<AtomicUsize>,
}

impl PrivateAws {
    async fn start(app: &TestApp) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &root).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tls, trusted) = (
            TlsAcceptor::from(Arc::new(tls)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (behind, counted) = (
            app.aws.endpoint.replace("http://", ""),
            Arc::clone(&trusted),
        );
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, behind, counted) = (tls.clone(), behind.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let mut socket = tls.accept(socket).await.ok()?;
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut behind = TcpStream::connect(behind).await.ok()?;
                    copy_bidirectional(&mut socket, &mut behind).await.ok()
                });
            }
        });
        let file = std::env::temp_dir().join(format!("rekey-root-{port}.pem"));
        std::fs::write(&file, root.pem()).unwrap();
        Self {
            endpoint: format!("https://localhost:{port}"),
            root: file,
            trusted,
        }
    }
}

impl Drop for PrivateAws {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.root);
    }
}

/// Requests a link from a process that calls this AWS.
async fn request(app: &TestApp, aws: &PrivateAws, variables: &[(&str, &str)]) -> Value {
    let variables = [variables, &[("AWS_ENDPOINT_URL", aws.endpoint.as_str())]].concat();
    let process = Process::start("forgot", app, &variables).await;
    let body = serde_json::json!({ "email": ADA, "reset_url": PAGE }).to_string();
    let response = process
        .invoke(&app.event("/password/forgot", &body).to_string())
        .await;
    serde_json::from_str(&response).unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_amazons_is_trusted_if_the_platform_trusts_it() {
    let app = TestApp::with_ada().await;
    let aws = PrivateAws::start(&app).await;
    let roots = [("SSL_CERT_FILE", aws.root.to_str().unwrap())];
    assert_eq!(request(&app, &aws, &roots).await["statusCode"], 202);
    assert_eq!(app.rows("request#").await.len(), 1);
    assert_eq!(aws.trusted.load(Ordering::Relaxed), 1);
    app.process_stream().await;
}

/// Only a rejected certificate makes the client try the platform's roots. Other failures are retried as usual.
#[tokio::test]
async fn a_broken_connection_is_not_tried_with_other_roots() {
    let app = TestApp::with_ada().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(socket);
        }
    });
    let process = Process::start("forgot", &app, &[("AWS_ENDPOINT_URL", endpoint.as_str())]).await;
    let body = serde_json::json!({ "email": ADA, "reset_url": PAGE }).to_string();
    let event = app.event("/password/forgot", &body).to_string();
    let response: Value = serde_json::from_str(&process.invoke(&event).await).unwrap();
    assert_eq!(response["statusCode"], 503);
    assert_eq!(attempts.load(Ordering::Relaxed), aws::ATTEMPTS as usize);
}

#[tokio::test]
async fn an_untrusted_server_receives_no_request() {
    let app = TestApp::with_ada().await;
    let aws = PrivateAws::start(&app).await;
    assert_eq!(request(&app, &aws, &[]).await["statusCode"], 503);
    assert_eq!(aws.trusted.load(Ordering::Relaxed), 0);
    assert_eq!(app.rows("").await.len(), 0);
}
