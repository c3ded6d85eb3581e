//! Making certificates, and reading what is stored of them.
//!
//! All keys are ECDSA P-256: handshakes are frequent (an API server keeps few idle connections, and starts anew when its trust bundle
//! changes), and RSA's are ten times as dear. A key is made for each certificate and never used for another.

use crate::core::certificates::{Authority, AuthorityId, Leaf, Plan, Settings, Stored, Validity};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// The Secret's key of the trust bundle, newest authority first.
pub const CA_BUNDLE: &str = "ca.crt";
/// The Secret's key of the newest authority's private key.
pub const CA_KEY: &str = "ca.key";
/// The Secret's key of the leaf, and what chains it to an authority.
pub const LEAF_CHAIN: &str = "tls.crt";
/// The Secret's key of the leaf's private key.
pub const LEAF_KEY: &str = "tls.key";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate could not be made.
#[derive(Debug, Error)]
pub enum IssueError {
    /// The generator refused, such as a name that is none.
    #[error("a certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// A leaf is to be signed, but the stored authority or its key cannot be read.
    #[error("the stored authority cannot sign: its certificate or its key cannot be read")]
    NoAuthority,
}

/// A private key, PEM. Its `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyPem(String);

impl KeyPem {
    /// The key. For storing and loading, never for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPem(not shown)")
    }
}

/// An authority that can sign.
#[derive(Debug)]
pub struct Ca {
    /// Its certificate, PEM.
    pub cert_pem: String,
    validity: Validity,
    key: KeyPair,
}

/// What is stored, as text. Parts may be missing (empty) or unreadable: [`Material::inspect`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material {
    /// The trust bundle, newest authority first.
    pub ca_bundle_pem: String,
    /// The newest authority's key.
    pub ca_key_pem: KeyPem,
    /// The leaf, and what chains it to an authority.
    pub leaf_chain_pem: String,
    /// The leaf's key.
    pub leaf_key_pem: KeyPem,
}

impl Material {
    /// What a Secret holds; none if it holds nothing of ours.
    pub fn from_secret(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let keys = [CA_BUNDLE, CA_KEY, LEAF_CHAIN, LEAF_KEY];
        let text = |key| data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default();
        keys.iter().any(|key| data.contains_key(*key)).then(|| Self {
            ca_bundle_pem: text(CA_BUNDLE),
            ca_key_pem: KeyPem(text(CA_KEY)),
            leaf_chain_pem: text(LEAF_CHAIN),
            leaf_key_pem: KeyPem(text(LEAF_KEY)),
        })
    }

    /// The data of the Secret.
    pub fn to_secret(&self) -> BTreeMap<String, ByteString> {
        let entries = [
            (CA_BUNDLE, &self.ca_bundle_pem),
            (CA_KEY, &self.ca_key_pem.0),
            (LEAF_CHAIN, &self.leaf_chain_pem),
            (LEAF_KEY, &self.leaf_key_pem.0),
        ];
        entries.map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes()))).into()
    }

    /// What can be read of it, for the plan.
    pub fn inspect(&self) -> Stored {
        let authorities = authorities(&self.ca_bundle_pem);
        let newest_key = authorities.first().map(|(_, authority)| authority.id.der());
        let key_usable = newest_key.is_some_and(|der| key_of(der, &self.ca_key_pem).is_some());
        let authorities: Vec<Authority> = authorities.into_iter().map(|(_, authority)| authority).collect();
        Stored { leaf: self.leaf(&authorities), authorities, key_usable }
    }

    fn leaf(&self, authorities: &[Authority]) -> Option<Leaf> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(self.leaf_chain_pem.as_bytes()).collect::<Result<_, _>>().ok()?;
        let (end, intermediates) = chain.split_first()?;
        key_of(end, &self.leaf_key_pem)?;
        let certificate = parse(end)?;
        let validity = validity(&certificate)?;
        let signed = |authority: &&Authority| chains_to(end, intermediates, &authority.id, validity.not_before);
        let issuer = authorities.iter().find(signed).map(|authority| authority.id.clone());
        Some(Leaf { issuer, validity, names: names(&certificate) })
    }

    /// The authority that can sign.
    fn ca(&self) -> Option<Ca> {
        let (cert_pem, authority) = authorities(&self.ca_bundle_pem).into_iter().next()?;
        let key = key_of(authority.id.der(), &self.ca_key_pem)?;
        Some(Ca { cert_pem, validity: authority.validity, key })
    }

    /// The same with the bundle reduced to some authorities, in its order.
    fn retaining(&self, retain: &[AuthorityId]) -> Self {
        let stays = authorities(&self.ca_bundle_pem).into_iter().filter(|(_, authority)| retain.contains(&authority.id));
        Self { ca_bundle_pem: stays.map(|(pem, _)| pem).collect(), ..self.clone() }
    }

    /// The same with a new authority before the others.
    fn with_ca(self, ca: &Ca) -> Self {
        Self { ca_bundle_pem: format!("{}{}", ca.cert_pem, self.ca_bundle_pem), ca_key_pem: KeyPem(ca.key.serialize_pem()), ..self }
    }

    /// The same with a new leaf.
    fn with_leaf(self, (leaf_chain_pem, leaf_key_pem): (String, KeyPem)) -> Self {
        Self { leaf_chain_pem, leaf_key_pem, ..self }
    }
}

/// Makes what a plan says, to be stored; none if there is nothing to make.
pub fn carry_out(plan: &Plan, stored: Option<&Material>, settings: &Settings, now: Timestamp) -> Result<Option<Material>, IssueError> {
    let stored = stored.cloned().unwrap_or_default();
    let leaf = |ca: &Ca| issue_leaf(ca, &settings.names, settings.lifetimes.leaf(), now);
    Ok(Some(match plan {
        Plan::Keep { .. } => return Ok(None),
        Plan::IssueAll { retain, .. } => {
            let ca = issue_ca(settings.lifetimes.ca(), now)?;
            stored.retaining(retain).with_ca(&ca).with_leaf(leaf(&ca)?)
        }
        Plan::RotateCa { retain, .. } => stored.retaining(retain).with_ca(&issue_ca(settings.lifetimes.ca(), now)?),
        Plan::RenewLeaf { .. } => {
            let ca = stored.ca().ok_or(IssueError::NoAuthority)?;
            stored.with_leaf(leaf(&ca)?)
        }
        Plan::Retire { retain } => stored.retaining(retain),
    }))
}

/// The authorities in a bundle (such as the stored one, or a webhook configuration's), in order; what cannot be read is left out.
pub fn bundle_authorities(bundle_pem: &str) -> Vec<AuthorityId> {
    authorities(bundle_pem).into_iter().map(|(_, authority)| authority.id).collect()
}

/// Makes an authority.
pub fn issue_ca(lifetime: Duration, now: Timestamp) -> Result<Ca, IssueError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let validity = Validity::starting(now, lifetime);
    let mut params = params(validity);
    // Each authority has a name of its own, even if two replicas make one in the same second: not every client that finds two of one
    // name in a bundle tries both.
    let id = params.key_identifier(&key).iter().take(4).fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    let name = format!("Holdpoint admission authority of {} ({id:08x})", now.strftime("%Y-%m-%dT%H:%M:%SZ"));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert_pem = params.self_signed(&key)?.pem();
    Ok(Ca { cert_pem, validity, key })
}

/// Makes a leaf (chain and key) for names, each a DNS name or an IP address. It does not outlive its authority.
pub fn issue_leaf(ca: &Ca, names: &BTreeSet<String>, lifetime: Duration, now: Timestamp) -> Result<(String, KeyPem), IssueError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(Validity::starting(now, lifetime).within(ca.validity));
    params.subject_alt_names = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?.subject_alt_names;
    params.distinguished_name.push(DnType::CommonName, "Holdpoint admission webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(&ca.cert_pem, &ca.key)?;
    let chain = params.signed_by(&key, &issuer)?.pem();
    Ok((chain, KeyPem(key.serialize_pem())))
}

/// What both kinds of certificates have in common. The serial number is the generator's: a hash of the (new, random) key.
fn params(validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = date_time_ymd(1970, 1, 1);
    let date = |instant: Timestamp| epoch + Duration::from_secs(u64::try_from(instant.as_second()).unwrap_or(0));
    params.not_before = date(validity.not_before);
    params.not_after = date(validity.not_after);
    params.distinguished_name = DistinguishedName::new();
    params
}

/// The authorities in a bundle with their PEM blocks.
fn authorities(bundle: &str) -> Vec<(String, Authority)> {
    let read = |block: &str| {
        let pem = block.get(block.find(BEGIN)?..)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let certificate = parse(&der)?;
        let validity = validity(&certificate)?;
        certificate.is_ca().then(|| (format!("{pem}\n"), Authority { id: AuthorityId::new(&der), validity }))
    };
    bundle.split_inclusive(END).filter_map(read).collect()
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    x509_parser::parse_x509_certificate(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

fn validity(certificate: &X509Certificate<'_>) -> Option<Validity> {
    let validity = certificate.validity();
    let instant = |seconds| Timestamp::from_second(seconds).ok();
    Some(Validity { not_before: instant(validity.not_before.timestamp())?, not_after: instant(validity.not_after.timestamp())? })
}

fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return BTreeSet::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|octets| IpAddr::from(Ipv6Addr::from(octets))));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// The key, if it is the certificate's.
fn key_of(der: &[u8], key: &KeyPem) -> Option<KeyPair> {
    let key = KeyPair::from_pem(key.expose()).ok()?;
    let certificate = parse(der)?;
    (certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()).then_some(key)
}

/// Whether a client that trusts only this authority accepts the certificate, names and time aside.
fn chains_to(end: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], authority: &AuthorityId, at: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0)));
    let algorithms = ring::default_provider().signature_verification_algorithms;
    roots.add(CertificateDer::from(authority.der().to_vec())).is_ok()
        && ParsedCertificate::try_from(end)
            .and_then(|end| verify_server_cert_signed_by_trust_anchor(&end, &roots, intermediates, at, algorithms.all))
            .is_ok()
}

#[cfg(test)]
mod tests;
