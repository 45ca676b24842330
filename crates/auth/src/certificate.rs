//! From a client certificate to an identity. Owns which part of it is the name; never whether it is to be trusted.

use std::sync::Arc;

use x509_parser::parse_x509_certificate;

use crate::Identity;

impl Identity {
    /// Who a client certificate speaks for: its subject common name. The caller has verified the certificate.
    ///
    /// A certificate without a common name, or with an empty one, speaks for nobody in particular.
    pub fn of_certificate(der: &[u8]) -> Self {
        let Ok((_, certificate)) = parse_x509_certificate(der) else { return Self::Anonymous };
        let mut names = certificate.subject().iter_common_name();
        let name = names.next().and_then(|name| name.as_str().ok()).filter(|name| !name.is_empty());
        name.map_or(Self::Anonymous, |name| Self::Certificate(Arc::from(name)))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(common_name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_the_identity_and_alternative_names_are_not() {
        assert_eq!(Identity::of_certificate(&certificate(Some("client1"))), Identity::Certificate("client1".into()));
        assert_eq!(Identity::of_certificate(&certificate(Some(""))), Identity::Anonymous);
        assert_eq!(Identity::of_certificate(&certificate(None)), Identity::Anonymous);
    }

    #[test]
    fn bytes_that_are_no_certificate_speak_for_nobody() {
        let whole = certificate(Some("client1"));
        assert_eq!(Identity::of_certificate(&[]), Identity::Anonymous);
        for end in 0..whole.len() {
            assert_eq!(Identity::of_certificate(&whole[..end]), Identity::Anonymous, "cut at {end}");
        }
    }
}
