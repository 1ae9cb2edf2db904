//! TLS settings of both sides, and the check of a server by its authority's fingerprint.

use std::sync::Arc;

use protocol::version::{ALPN_CLIENT, ALPN_JOIN, ALPN_NODE, ALPN_PEER};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::pki::{Credentials, PkiError};
use crate::token::Fingerprint;

mod any_node;

use any_node::AnyNode;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn wrong(error: impl std::fmt::Display) -> PkiError {
    PkiError::Tls(error.to_string())
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(wrong)?;
    Ok(Arc::new(roots))
}

/// A coordinator's: certificates are asked for and checked if shown; who must show one is decided when
/// it is known through which door the peer came.
pub(super) fn server(credentials: &Credentials) -> Result<QuicServerConfig, PkiError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&credentials.authority)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(wrong)?;
    accepting(credentials, verifier, &[ALPN_NODE, ALPN_JOIN, ALPN_CLIENT])
}

/// A node's, for other nodes: without a certificate of the cluster nobody gets past the handshake.
pub(super) fn peers(credentials: &Credentials) -> Result<QuicServerConfig, PkiError> {
    let roots = roots(&credentials.authority)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(wrong)?;
    accepting(credentials, verifier, &[ALPN_PEER])
}

fn accepting(
    credentials: &Credentials,
    verifier: Arc<dyn ClientCertVerifier>,
    protocols: &[&[u8]],
) -> Result<QuicServerConfig, PkiError> {
    let chain = vec![credentials.certificate.clone(), credentials.authority.clone()];
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, credentials.key.clone_key())
        .map_err(wrong)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // A resumed session would not show its certificate again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    QuicServerConfig::try_from(config).map_err(wrong)
}

/// Whom a dialler trusts.
pub(super) enum Root {
    Authority(CertificateDer<'static>),
    /// The authority too, and the certificate must name a node, whichever that is.
    AnyNode(CertificateDer<'static>),
    Fingerprint(Fingerprint),
}

/// A dialler's, with its own certificate if it has one.
pub(super) fn client(root: Root, own: Option<&Credentials>, alpn: &[u8]) -> Result<QuicClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?;
    let builder = match root {
        Root::Authority(authority) => builder.with_root_certificates(roots(&authority)?),
        Root::AnyNode(authority) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots(&authority)?, provider());
            let verifier = verifier.build().map_err(wrong)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyNode(verifier)))
        }
        Root::Fingerprint(fingerprint) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { fingerprint, provider: provider() }))
        }
    };
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            builder.with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key()).map_err(wrong)?
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(wrong)
}

/// Accepts a server whose chain holds the authority of this fingerprint and checks out under it.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates.iter().find(|certificate| Fingerprint::of(certificate) == self.fingerprint);
        let authority = authority.ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
