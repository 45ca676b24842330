//! From arguments to a connected client.

use std::fs;
use std::path::Path;

use liftbridge_client::{Client, ClientBuilder, TlsOptions};

use crate::arguments::ConnectionArguments;
use crate::failure::Failure;

impl ConnectionArguments {
    /// A client for the cluster the arguments name.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(self.builder()?.connect().await?)
    }

    fn builder(&self) -> Result<ClientBuilder, Failure> {
        let builder = Client::builder(self.addresses.iter().filter(|address| !address.is_empty()).cloned())
            .connect_timeout(self.timeout)
            .request_timeout(self.timeout)
            .ack_timeout(self.timeout);
        let with_tls = self.tls || self.tls_ca.is_some() || self.tls_cert.is_some();
        Ok(if with_tls { builder.tls(self.tls_options()?) } else { builder })
    }

    fn tls_options(&self) -> Result<TlsOptions, Failure> {
        let mut options = TlsOptions::default();
        if let Some(path) = &self.tls_ca {
            options = options.ca_pem(read(path)?);
        }
        // The command line requires both or none.
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options = options.identity_pem(read(certificate)?, read(key)?);
        }
        Ok(options)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::ReadFile { path: path.to_owned(), source })
}
