//! What the operator says about the hub.

use std::{fmt, path::PathBuf};

use clap::Args;

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token, for the one header that carries it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// Flags of everything that may need the hub. The variables are those of Hugging Face's own programs.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct HubArgs {
    /// The hub, or a mirror of it
    #[arg(long, env = "HF_ENDPOINT", default_value = "https://huggingface.co", value_name = "URL", global = true)]
    pub hf_endpoint: String,
    /// Who we are, for data that is not open to all; by default the token file of HF_HOME
    #[arg(long, env = "HF_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = token, global = true)]
    pub hf_token: Option<Token>,
    /// Where Hugging Face's programs keep their cache and token; files that lie there are used [default: ~/.cache/huggingface]
    #[arg(long, env = "HF_HOME", value_name = "DIRECTORY", global = true)]
    pub hf_home: Option<PathBuf>,
    /// Never ask the hub, take what is in the caches: 1 or 0
    #[arg(
        long, env = "HF_HUB_OFFLINE", value_name = "SWITCH", value_parser = switch,
        num_args = 0..=1, require_equals = true, default_value = "0", default_missing_value = "1", global = true
    )]
    pub hf_hub_offline: bool,
    /// A further host that the hub may redirect to, and its subdomains; can be given several times
    #[arg(long, env = "POLAI_HUB_HOSTS", value_name = "HOST", value_delimiter = ',', global = true)]
    pub hub_host: Vec<String>,
    /// Certificates to trust instead of Mozilla's, PEM
    #[arg(long, env = "SSL_CERT_FILE", value_name = "FILE", global = true)]
    pub hub_ca_file: Option<PathBuf>,
}

impl Default for HubArgs {
    fn default() -> Self {
        Self {
            hf_endpoint: "https://huggingface.co".to_owned(),
            hf_token: None,
            hf_home: None,
            hf_hub_offline: false,
            hub_host: Vec::new(),
            hub_ca_file: None,
        }
    }
}

fn token(text: &str) -> Result<Token, &'static str> {
    let is_plain = text.trim().bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { Ok(text.to_owned().into()) } else { Err("a token has no spaces and no accents") }
}

/// As huggingface_hub reads it.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_uppercase().as_str() {
        "1" | "ON" | "YES" | "TRUE" => Ok(true),
        "" | "0" | "OFF" | "NO" | "FALSE" => Ok(false),
        _ => Err("expected 1 or 0"),
    }
}
