//! The control plane's keys and certificates: one authority for servers and clients.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
};

use crate::{Error, Result, subject};

/// A certificate and its key, as PEM files.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The authority, and the folder that its products are written to.
#[derive(Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn create(folder: PathBuf) -> Result<Pki> {
        fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "control-plane");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pki = Pki { folder, authority };
        pki.write("ca.crt", &pki.authority.pem())?;
        Ok(pki)
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The API server's serving certificate.
    pub(crate) fn server(&self) -> Result<Identity> {
        let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        self.identity("server", &certificate.pem(), &key)
    }

    /// A client certificate; the API server takes the user from its common name and the groups from its organisations.
    pub(crate) fn client(&self, file: &str, name: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        let der = subject::replace(certificate.der(), name, groups, self.authority.key())?;
        self.identity(file, &pem::encode(&Pem::new("CERTIFICATE", der)), &key)
    }

    /// The key that signs service account tokens. In place of the certificate, the public half.
    pub(crate) fn service_accounts(&self) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let public = pem::encode(&Pem::new("PUBLIC KEY", key.subject_public_key_info()));
        self.identity("service-accounts", &public, &key)
    }

    fn identity(&self, name: &str, certificate: &str, key: &KeyPair) -> Result<Identity> {
        Ok(Identity {
            certificate: self.write(&format!("{name}.crt"), certificate)?,
            key: self.write(&format!("{name}.key"), &key.serialize_pem())?,
        })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        write(&path, text)?;
        Ok(path)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
