//! TLS for the webhook: a certificate that can be changed while serving, and a look at what is served from a client's side.

use super::issue::Material;
use crate::{clock, core::certificates::Validity};
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;

/// TLS could not be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate or the key is not PEM of its kind.
    #[error("not a certificate and key in PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The library refused, such as a key that is another certificate's.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
    /// The certificate is there, but says nothing of its validity, or nothing is there.
    #[error("there is no certificate that can be served")]
    NoCertificate,
}

/// What is served does not verify.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The bundle or the name cannot be used.
    #[error("cannot verify with this bundle and name: {0}")]
    Unusable(String),
    /// No connection, or the handshake failed; the text says why (such as `UnknownIssuer`).
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
    /// The deadline passed.
    #[error("no handshake in time")]
    Timeout,
}

/// The certificate that is served. Clones share it. A change takes effect for new handshakes; connections go on as they are.
#[derive(Clone, Debug, Default)]
pub struct CertificateSlot(Arc<ArcSwapOption<Served>>);

#[derive(Debug)]
struct Served {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

impl CertificateSlot {
    /// Serves a leaf from now on. On an error what was served goes on being served.
    pub fn install(&self, material: &Material) -> Result<(), TlsError> {
        let validity = material.inspect().leaf.ok_or(TlsError::NoCertificate)?.validity;
        let chain = certificates(&material.leaf_chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(material.leaf_key_pem.expose().as_bytes())?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        self.0.store(Some(Arc::new(Served { key, validity })));
        Ok(())
    }

    /// When what is served expires; none if nothing is.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.0.load().as_ref().map(|served| served.validity.not_after)
    }
}

impl ResolvesServerCert for CertificateSlot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|served| served.key.clone())
    }
}

/// TLS 1.2 and 1.3 with the slot's certificate, offering HTTP/2 and HTTP/1.1. While the slot is empty handshakes fail.
pub fn server_config(slot: CertificateSlot) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(slot));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Dials an address and completes a handshake as a client that trusts exactly this bundle and expects this name.
pub async fn verify_served(address: SocketAddr, dns_name: &str, ca_bundle_pem: &str, deadline: Duration) -> Result<(), VerifyError> {
    let unusable = |error: TlsError| VerifyError::Unusable(error.to_string());
    let roots = roots(ca_bundle_pem).map_err(unusable)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = builder.map_err(|e| unusable(e.into()))?.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(dns_name.to_owned()).map_err(|e| VerifyError::Unusable(e.to_string()))?;
    let handshake = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        // The handshake is what was asked for; how the connection ends does not matter.
        let _ = stream.shutdown().await;
        Ok(())
    };
    clock::within(deadline, Box::pin(handshake)).await.map_err(|_| VerifyError::Timeout)?
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?;
    if chain.is_empty() { Err(TlsError::NoCertificate) } else { Ok(chain) }
}

fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
