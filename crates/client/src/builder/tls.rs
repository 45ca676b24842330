//! How connections are encrypted. Owns certificates and keys on their way to the TLS library; never prints a key.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::ConnectError;

/// How a certificate begins in PEM.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Whom to trust and who to be. The default trusts what the operating system trusts and shows no certificate.
#[derive(Clone, Default)]
#[must_use]
pub struct TlsOptions {
    ca_pem: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
}

impl TlsOptions {
    /// Trusts only the authorities in this PEM text.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// Shows this certificate (PEM, its chain included) to servers, proven by this private key (PEM).
    pub fn identity_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Expects servers to prove this name instead of the host they are reached at.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    pub(crate) fn to_config(&self) -> Result<ClientTlsConfig, ConnectError> {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca_pem {
            // The TLS library takes a text without certificates for "trust nobody", and says so only when connecting.
            Some(pem) if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) => {
                return Err(ConnectError::Tls { reason: "the authorities' PEM text holds no certificate".to_owned() });
            }
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        Ok(config)
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("own_authority", &self.ca_pem.is_some())
            .field("identity", &self.identity.as_ref().map(|_| "***"))
            .field("server_name", &self.server_name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_printed() {
        let options = TlsOptions::default().identity_pem("a certificate", "a private key");
        assert!(!format!("{options:?}").contains("private"));
    }
}
