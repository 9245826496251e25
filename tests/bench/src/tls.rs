//! TLS for the local AWS: a certificate authority that exists for one run.
//!
//! AWS's endpoints speak TLS 1.3, and a cold request spends most of its CPU time on its first handshake. Every client,
//! Rekey's and the peers', gets the authority's certificate through the variables that its own platform reads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::TLS13;

/// Where a function finds AWS, and the certificate authority that it has to trust.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: String,
    /// None for plain HTTP.
    roots: Option<PathBuf>,
}

impl Endpoint {
    pub(crate) fn new(port: u16, authority: &Authority) -> Self {
        Self {
            // A name, as AWS's endpoints have one: a cold start includes a look-up.
            url: format!("https://localhost:{port}"),
            roots: Some(authority.roots.clone()),
        }
    }

    pub(crate) fn plain(port: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{port}"),
            roots: None,
        }
    }

    /// The variables through which Rekey, Python's and Node's clients come to trust the authority.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![("AWS_ENDPOINT_URL".to_owned(), self.url.clone())];
        if let Some(roots) = &self.roots {
            let names = ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
            variables.extend(names.map(|name| (name.to_owned(), roots.display().to_string())));
        }
        variables
    }
}

/// A certificate authority with one server. Its certificate is a file until this is dropped.
pub(crate) struct Authority {
    pub(crate) server: Arc<ServerConfig>,
    roots: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL, under Python, wants what RFC 5280 wants: a name of the authority's own, the usages of its key, and
        // its key's identifier in what it signs.
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "The benchmark's authority");
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        server.use_authority_key_identifier_extension = true;
        let server = server.signed_by(&key, &root).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let roots = env::temp_dir().join(format!("rekey-bench-{}-{number}.pem", process::id()));
        fs::write(&roots, root.pem()).unwrap();
        Self {
            server: Arc::new(server),
            roots,
        }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.roots);
    }
}
