//! Query strings: names may come again, and hold lists.

use core::str::FromStr;

use super::ApiError;

/// Values of one list.
const VALUES: usize = 4_096;

/// The pairs of a query string.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<String>) -> Result<Self, ApiError> {
        let Some(text) = text else { return Ok(Self::default()) };
        // The parser of URLs knows how a query is escaped.
        let url = reqwest::Url::parse(&format!("http://localhost/?{text}")).map_err(ApiError::bad)?;
        Ok(Self(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// All values of a name; commas separate them, too.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>, ApiError> {
        let of_name = self.0.iter().filter(|(of, _)| of == name);
        let values: Vec<&str> = of_name.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect();
        if values.len() > VALUES {
            return Err(ApiError::bad(format!("{name}: more than {VALUES} values")));
        }
        Ok(values)
    }

    /// The one value of a name.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.0.iter().find(|(of, _)| of == name);
        let parse =
            |(_, value): &(String, String)| value.parse().map_err(|_| ApiError::bad(format!("{name}: no number: {value:?}")));
        value.map(parse).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}
