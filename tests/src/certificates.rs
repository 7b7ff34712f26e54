//! Certificates for servers of a test.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A server's certificate and its key, signed by an authority that nobody knows. All in PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate, which clients have to trust.
    pub authority: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

impl Certificates {
    /// Makes certificates for a server with these names and addresses.
    pub fn new(names: &[&str]) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With the default name for both, OpenSSL would take the server's certificate for a self-signed one.
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        let authority_key = KeyPair::generate().expect("ring makes keys");
        let authority = parameters.self_signed(&authority_key).expect("the parameters are valid").pem();
        let issuer = Issuer::new(parameters, authority_key);
        let key = KeyPair::generate().expect("ring makes keys");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let leaf = CertificateParams::new(names).and_then(|leaf| leaf.signed_by(&key, &issuer));
        let certificate = leaf.expect("the names are valid").pem();
        Self { authority, certificate, key: key.serialize_pem() }
    }
}
