//! TLS for the local AWS: a certificate authority that exists for one run.
//!
//! AWS's endpoints speak TLS 1.3, and a cold request spends most of its CPU time on its first handshake. Every client,
//! Rekey's and the peers', gets the authority's certificate through the variables that its own platform reads.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::TLS13;

use crate::repository;

/// The URL of the local AWS, and the certificate authority that its clients must trust.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: String,
    /// The file with the authority's certificate, or `None` for plain HTTP.
    roots: Option<PathBuf>,
}

impl Endpoint {
    pub(crate) fn new(port: u16, authority: &Authority) -> Self {
        Self {
            // Use a name, as AWS's endpoints do, so that a cold start includes the lookup.
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

    /// Returns the variables through which Rekey, Python, and Node trust the authority.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![("AWS_ENDPOINT_URL".to_owned(), self.url.clone())];
        if let Some(roots) = &self.roots {
            let names = ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
            variables.extend(names.map(|name| (name.to_owned(), roots.display().to_string())));
        }
        variables
    }
}

/// A certificate authority with one server, for all of a run.
pub(crate) struct Authority {
    pub(crate) server: Arc<ServerConfig>,
    pem: String,
    roots: PathBuf,
}

impl Authority {
    pub(crate) fn of_this_run() -> &'static Self {
        static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
        &AUTHORITY
    }

    fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL, under Python, enforces RFC 5280. The authority needs a distinguished name and key usages, and the
        // certificates that it signs need its key identifier.
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
        let roots = repository::root().join("target/bench-authority.pem");
        fs::write(&roots, root.pem()).unwrap();
        Self {
            server: Arc::new(server),
            pem: root.pem(),
            roots,
        }
    }

    /// Returns one of Rekey's binaries with the authority's certificate in place of the first of Amazon's roots.
    ///
    /// At AWS, the first handshake succeeds. With Amazon's own roots, it would fail here, and every cold start would
    /// include a second handshake with the platform's roots.
    pub(crate) fn trusted_by(&self, binary: &[u8]) -> Vec<u8> {
        let amazon = fs::read(repository::root().join("shared/src/aws/amazon_roots.pem")).unwrap();
        let (begin, end) = (b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----");
        let roots = find(binary, &amazon).expect("Amazon's roots in the binary");
        let from = roots + find(&amazon, begin).expect("a certificate");
        let to = roots + find(&amazon, end).expect("its end") + end.len();
        let mut binary = binary.to_vec();
        let certificate = &mut binary[from..to];
        certificate.fill(b'\n');
        certificate[..self.pem.len()].copy_from_slice(self.pem.as_bytes());
        binary
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
