//! The cluster's certificates: one authority, made by the first coordinator, and what it signs.
//!
//! Rules: secrets are files only their owner can read; files are written aside and renamed, so that a
//! crash leaves the old or the new one. A certificate's names come from the authority, never from the
//! request. `now` is passed in, in seconds since 1970.

use std::path::{Path, PathBuf};

use protocol::ids::{ClusterId, NodeId};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use crate::token::{Fingerprint, JoinToken};

mod files;

pub use files::{read_secret, write_secret};

/// The name that every coordinator's certificate carries.
pub const COORDINATOR_NAME: &str = "coordinator.troupe";
const NODE_SUFFIX: &str = ".node.troupe";
/// Clocks of machines may differ by so much.
const SKEW: Duration = Duration::days(1);
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// A coordinator makes its own anew at each start, so this bounds how long it may run.
const LEAF_LIFE: Duration = Duration::days(825);

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NODE_CERTIFICATE: &str = "node.crt";
const NODE_KEY: &str = "node.key";

/// Certificates that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the state folder.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{path}: {problem}; restore it from a backup, or remove the folder to begin anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A certificate that is out of its time.
    #[error("{path} was valid until {until}: remove it and join again with a join token, or set this machine's clock")]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its end, in words.
        until: String,
    },
    /// A certificate that is of another cluster than the token.
    #[error(
        "{folder} belongs to cluster {found}, the join token to {wanted}: give the other cluster's node another state folder, or remove {folder}"
    )]
    OtherCluster {
        /// The state folder.
        folder: PathBuf,
        /// By the authority's fingerprint.
        found: ClusterId,
        /// By the token's.
        wanted: ClusterId,
    },
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A signing request that cannot be used.
    #[error("the certificate request is not usable: {0}")]
    Request(String),
    /// TLS does not accept the certificates.
    #[error("the certificates cannot be used: {0}")]
    Tls(String),
}

/// A certificate with its key, and the authority that signed it.
#[derive(Debug)]
pub struct Credentials {
    /// In DER.
    pub certificate: CertificateDer<'static>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// The authority's certificate, in DER.
    pub authority: CertificateDer<'static>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), key: self.key.clone_key(), authority: self.authority.clone() }
    }
}

/// The secret behind a listener's stateless resets (RFC 9000, section 10.3). It outlives the process, so that
/// peers of the last one learn at their next packet that it is gone, and not by silence.
#[derive(Clone, Copy)]
pub struct ResetKey(pub(crate) [u8; 32]);

impl std::fmt::Debug for ResetKey {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetKey")
    }
}

/// The cluster's authority.
pub struct ClusterAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for ClusterAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterAuthority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl ClusterAuthority {
    /// Reads the authority from a folder, or makes it there.
    ///
    /// # Errors
    /// Files that cannot be read or written, or that are damaged.
    pub fn load_or_create(folder: &Path, now: i64) -> Result<Self, PkiError> {
        let (certificate_path, key_path) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        if !certificate_path.exists() && !key_path.exists() {
            let (certificate_pem, key_pem) = make_authority(now)?;
            // The key first: a certificate without its key would look like a damaged folder.
            write_secret(&key_path, key_pem.as_bytes())?;
            write_secret(&certificate_path, certificate_pem.as_bytes())?;
        }
        let missing = |path: &Path, other| PkiError::Damaged {
            path: path.to_owned(),
            problem: format!("is missing, though {other} is there"),
        };
        if !certificate_path.exists() {
            return Err(missing(&certificate_path, CA_KEY));
        }
        if !key_path.exists() {
            return Err(missing(&key_path, CA_CERTIFICATE));
        }
        let certificate = read_certificate(&certificate_path)?;
        let damaged = |problem: String| PkiError::Damaged { path: key_path.clone(), problem };
        let key = KeyPair::from_pem(&read_secret(&key_path)?).map_err(|error| damaged(error.to_string()))?;
        if !holds_key(&certificate, key.public_key_raw()) {
            return Err(damaged(format!("is not the key of {CA_CERTIFICATE}")));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { certificate, issuer })
    }

    /// Where its certificate and its key lie in the folder.
    pub fn paths(folder: &Path) -> (PathBuf, PathBuf) {
        (folder.join(CA_CERTIFICATE), folder.join(CA_KEY))
    }

    /// Where its certificate lies in the folder, for clients.
    pub fn certificate_path(folder: &Path) -> PathBuf {
        folder.join(CA_CERTIFICATE)
    }

    /// Of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Its certificate, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The cluster's name to machines.
    pub fn cluster(&self) -> ClusterId {
        self.fingerprint().cluster()
    }

    /// With what a coordinator proves, after a restart, that it has forgotten a connection.
    pub fn reset_key(&self) -> ResetKey {
        use sha2::Digest;
        let label = sha2::Sha256::new().chain_update(b"troupe stateless reset 1");
        ResetKey(label.chain_update(self.issuer.key().serialize_der()).finalize().into())
    }

    /// Credentials of a coordinator.
    ///
    /// # Errors
    /// A certificate that cannot be made.
    pub fn coordinator(&self, now: i64) -> Result<Credentials, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = leaf(COORDINATOR_NAME, now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Credentials { certificate, key: private(&key), authority: self.certificate.clone() })
    }

    /// Signs a node's request. Only its public key is taken from it.
    ///
    /// # Errors
    /// A request that is damaged or not signed by its own key.
    pub fn sign_node(&self, request: &[u8], node: NodeId, now: i64) -> Result<CertificateDer<'static>, PkiError> {
        let der = CertificateSigningRequestDer::from(request);
        let mut request =
            CertificateSigningRequestParams::from_der(&der).map_err(|error| PkiError::Request(error.to_string()))?;
        request.params = leaf(&node_name(node), now)?;
        // A node is dialled by other nodes, under its own name: it never passes for a coordinator.
        request.params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = request.signed_by(&self.issuer).map_err(|error| PkiError::Request(error.to_string()))?;
        Ok(certificate.der().clone())
    }
}

fn make_authority(now: i64) -> Result<(String, String), PkiError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "Troupe cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = at(now) - SKEW;
    params.not_after = at(now) + AUTHORITY_LIFE;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn leaf(name: &str, now: i64) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = at(now) - SKEW;
    params.not_after = at(now) + LEAF_LIFE;
    Ok(params)
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// The name in a node's certificate.
pub fn node_name(node: NodeId) -> String {
    format!("{node}{NODE_SUFFIX}")
}

/// Which node a certificate names. The chain was checked by TLS.
pub fn node_of(certificate: &[u8]) -> Option<NodeId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => name.strip_suffix(NODE_SUFFIX)?.parse().ok(),
        _ => None,
    })
}

/// Whether a certificate is of this public key.
fn holds_key(certificate: &[u8], key: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().subject_public_key.data.as_ref() == key)
}

/// A key and a request for a certificate, for a node that joins.
#[derive(Debug)]
pub struct NodeRequest {
    key: KeyPair,
    /// In DER.
    pub request: Vec<u8>,
}

impl NodeRequest {
    /// With a fresh key, which never leaves the node.
    ///
    /// # Errors
    /// A key that cannot be made.
    pub fn new(node: NodeId) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::new(vec![node_name(node)])?.serialize_request(&key)?.der().to_vec();
        Ok(Self { key, request })
    }

    /// With what the coordinator made of it.
    pub fn signed(self, certificate: Vec<u8>, authority: Vec<u8>) -> Credentials {
        Credentials { certificate: certificate.into(), key: private(&self.key), authority: authority.into() }
    }
}

impl Credentials {
    /// Writes a node's credentials into its state folder.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), PkiError> {
        write_secret(&folder.join(NODE_KEY), pem("PRIVATE KEY", self.key.secret_der()).as_bytes())?;
        write_secret(&folder.join(CA_CERTIFICATE), pem("CERTIFICATE", &self.authority).as_bytes())?;
        write_secret(&folder.join(NODE_CERTIFICATE), pem("CERTIFICATE", &self.certificate).as_bytes())
    }

    /// Reads a node's credentials, or none if it has not joined.
    ///
    /// # Errors
    /// Files that cannot be read, or that are damaged.
    pub fn load(folder: &Path) -> Result<Option<Self>, PkiError> {
        let path = folder.join(NODE_CERTIFICATE);
        if !path.exists() {
            return Ok(None);
        }
        let key_path = folder.join(NODE_KEY);
        let key = PrivateKeyDer::from_pem_slice(read_secret(&key_path)?.as_bytes())
            .map_err(|error| PkiError::Damaged { path: key_path, problem: error.to_string() })?;
        let authority = read_certificate(&folder.join(CA_CERTIFICATE))?;
        Ok(Some(Self { certificate: read_certificate(&path)?, key, authority }))
    }

    /// Whether credentials from `folder` can be used now, and in the cluster of the token, if there is
    /// one: better told at the start than by a coordinator's refusal.
    ///
    /// # Errors
    /// An expired certificate, or one of another cluster.
    pub fn check(&self, folder: &Path, token: Option<&JoinToken>, now: i64) -> Result<(), PkiError> {
        let path = folder.join(NODE_CERTIFICATE);
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate)
            .map_err(|error| PkiError::Damaged { path: path.clone(), problem: error.to_string() })?;
        let until = parsed.validity().not_after;
        if until.timestamp() < now {
            return Err(PkiError::Expired { path, until: until.to_string() });
        }
        let found = Fingerprint::of(&self.authority);
        match token {
            Some(token) if token.fingerprint != found => {
                let (found, wanted) = (found.cluster(), token.fingerprint.cluster());
                Err(PkiError::OtherCluster { folder: folder.to_owned(), found, wanted })
            }
            _ => Ok(()),
        }
    }
}

/// A certificate from a PEM file.
///
/// # Errors
/// A file that cannot be read, or holds none.
pub fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, PkiError> {
    let text = read_secret(path)?;
    CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| PkiError::Damaged { path: path.to_owned(), problem: error.to_string() })
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests;
