//! Questions to a node's processes: JSON over HTTP, on loopback.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Who does not answer in this time is taken for dead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer at most: blocks with all their transactions are below this.
const ANSWER_BYTES: usize = 32 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there, or too late. Transient.
    #[error("{url}: no answer")]
    Nobody {
        /// Who was asked.
        url: String,
    },
    /// The answer is a refusal.
    #[error("{url}: {code}: {text}")]
    Refused {
        /// Who was asked.
        url: String,
        /// HTTP status or JSON-RPC code.
        code: i64,
        /// What it says, cut.
        text: String,
    },
    /// The answer is not what it should be: the defect of whoever answered.
    #[error("{url}: {text}")]
    Wrong {
        /// Who was asked.
        url: String,
        /// What is wrong.
        text: String,
    },
}

/// Asks.
#[derive(Debug, Clone)]
pub struct Ask(Client);

impl Ask {
    /// With a time-out, and never through a proxy.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::within(TIMEOUT)
    }

    /// The same, with another time-out.
    ///
    /// # Errors
    /// The operating system's.
    pub fn within(time: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self(Client::builder().no_proxy().timeout(time).build()?))
    }

    /// HTTP status and JSON of a page; None when nobody answers.
    pub async fn page(&self, url: &str) -> Option<(u16, Value)> {
        let answer = self.0.get(url).send().await.ok()?;
        let code = answer.status().as_u16();
        let bytes = read(answer).await.unwrap_or_default();
        Some((code, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// `data` of an answer of the Beacon API; None for 404.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn data(&self, url: &str) -> Result<Option<Value>, AskError> {
        let (code, mut answer) = self.page(url).await.ok_or_else(|| AskError::Nobody { url: url.to_owned() })?;
        match code {
            404 => Ok(None),
            200 | 206 => Ok(answer.get_mut("data").map(Value::take)),
            _ => Err(AskError::Refused { url: url.to_owned(), code: code.into(), text: cut(&answer) }),
        }
    }

    /// `result` of a JSON-RPC call; None for null.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn call<T: DeserializeOwned>(&self, url: &str, method: &str, params: Value) -> Result<Option<T>, AskError> {
        self.call_with_token(url, None, method, params).await
    }

    /// The same at a port that wants a token.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn call_with_token<T: DeserializeOwned>(
        &self,
        url: &str,
        token: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Option<T>, AskError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let nobody = || AskError::Nobody { url: url.to_owned() };
        let wrong = |text: String| AskError::Wrong { url: url.to_owned(), text: format!("{method}: {text}") };
        let mut request = self.0.post(url).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|_| nobody())?;
        if answer.status() != StatusCode::OK {
            let code = answer.status().as_u16().into();
            return Err(AskError::Refused { url: url.to_owned(), code, text: method.to_owned() });
        }
        let bytes = read(answer).await.ok_or_else(nobody)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if let Some(error) = answer.get("error") {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            return Err(AskError::Refused { url: url.to_owned(), code, text: format!("{method}: {}", cut(error)) });
        }
        let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
        serde_json::from_value(result).map_err(|error| wrong(error.to_string()))
    }
}

async fn read(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        if bytes.len().saturating_add(part.len()) > ANSWER_BYTES {
            return None;
        }
        bytes.extend_from_slice(&part);
    }
    Some(bytes)
}

fn cut(answer: &Value) -> String {
    let text = answer.get("message").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A number that an API gives as decimal text, hex quantity, or number.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_three_forms() {
        for value in [json!(26), json!("26"), json!("0x1a")] {
            assert_eq!(number(&value), Some(26));
        }
        for value in [json!(null), json!("0x"), json!("-1"), json!(1.5), json!("0x1ffffffffffffffff")] {
            assert_eq!(number(&value), None, "{value}");
        }
    }
}
