//! Which cluster: address, key and trust, from options, the environment, or a state folder nearby.

use std::fs;
use std::path::{Path, PathBuf};

use client::{ApiKey, Client, ConnectOptions, Trust};

use crate::failure::Failure;

/// Where `cargo xtask up` and a coordinator with the default configuration keep their state.
const STATE: &str = ".troupe/coordinator";
const KEY_FILE: &str = "admin.key";
const CA_FILE: &str = "ca.crt";

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A coordinator's QUIC address; with several, as `A,B` or given again, the next takes over when one is gone.
    #[arg(
        long,
        global = true,
        env = "TROUPE_SERVER",
        default_value = "127.0.0.1:7600",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    server: Vec<String>,
    /// A file with the API key [default: $TROUPE_KEY, which is the key itself, or .troupe/coordinator/admin.key].
    #[arg(long, global = true, env = "TROUPE_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The cluster's CA certificate, PEM [default: .troupe/coordinator/ca.crt].
    #[arg(long, global = true, env = "TROUPE_CA", value_name = "FILE", conflicts_with = "fingerprint")]
    ca_file: Option<PathBuf>,
    /// The fingerprint of the cluster's CA, instead of its certificate.
    #[arg(long, global = true, env = "TROUPE_FINGERPRINT", value_name = "HEX")]
    fingerprint: Option<String>,
}

impl Options {
    /// Connects.
    ///
    /// # Errors
    /// A file that cannot be read, or no connection.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let key = self.key(std::env::var("TROUPE_KEY").ok(), Path::new(STATE))?;
        let trust = self.trust(Path::new(STATE))?;
        let mut options = ConnectOptions::to_any(self.server.iter().map(|address| address.trim()), key, trust);
        options.agent = concat!("troupe/", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Client::connect(options).await?)
    }

    fn key(&self, variable: Option<String>, state: &Path) -> Result<ApiKey, Failure> {
        if let Some(path) = &self.key_file {
            return read_key(path);
        }
        if let Some(key) = variable.filter(|key| !key.trim().is_empty()) {
            return Ok(ApiKey::new(key));
        }
        let path = state.join(KEY_FILE);
        if path.exists() {
            return read_key(&path);
        }
        Err(Failure::Usage(format!("no API key: give --key-file, set TROUPE_KEY, or run where {} is", path.display())))
    }

    fn trust(&self, state: &Path) -> Result<Trust, Failure> {
        if let Some(fingerprint) = &self.fingerprint {
            return Ok(Trust::Fingerprint(fingerprint.clone()));
        }
        if let Some(path) = &self.ca_file {
            return Ok(Trust::CaFile(path.clone()));
        }
        let path = state.join(CA_FILE);
        if path.exists() {
            return Ok(Trust::CaFile(path));
        }
        Err(Failure::Usage(format!(
            "nothing tells which cluster to trust: give --ca-file or --fingerprint, or run where {} is",
            path.display()
        )))
    }
}

fn read_key(path: &Path) -> Result<ApiKey, Failure> {
    let usage = |problem: String| Failure::Usage(format!("the key file {} {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| usage(format!("cannot be read: {error}")))?;
    if text.trim().is_empty() {
        return Err(usage("is empty: put an API key in it".to_owned()));
    }
    Ok(ApiKey::new(text))
}

#[cfg(test)]
mod tests;
