//! What Prometheus answered to an instant query, as one number or the reason
//! why there is none.
//!
//! Pure. Obeys the [HTTP API](https://prometheus.io/docs/prometheus/latest/querying/api/).
//! A number that is not there, or more than one, says nothing: an error rate of
//! no requests is not an error rate of 0.

use std::fmt;

use serde::Deserialize;

/// How many characters of somebody else's words are kept.
const WORDS_MAX: usize = 300;

/// The answer to one query.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// One number; it may be infinite.
    Number(f64),
    /// Nothing to judge by, and why.
    Nothing(String),
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Nothing(why) => f.write_str(why),
        }
    }
}

/// Why an answer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the answer is not that of Prometheus: {0}")]
    NotPrometheus(String),
    #[error("Prometheus could not answer: {0}")]
    Unable(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    value: Option<(serde_json::Value, String)>,
}

impl Reading {
    /// Reads an answer's body. What Prometheus says of a query that it does not
    /// understand is a reading: asking again would give the same.
    pub(super) fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|error| AnswerError::NotPrometheus(words(&error.to_string())))?;
        let error = envelope.error.unwrap_or_default();
        match (envelope.status.as_str(), envelope.error_type.as_deref(), envelope.data) {
            ("success", _, Some(data)) => match envelope.warnings.first() {
                // A part of what was asked may be missing.
                Some(warning) => Ok(Self::nothing(format!("it warns: {}", words(warning)))),
                None => Self::of(data),
            },
            ("error", Some("bad_data" | "execution"), _) => {
                Ok(Self::nothing(format!("the query is refused: {}", words(&error))))
            }
            ("error", kind, _) => {
                let kind = kind.unwrap_or("no reason given");
                Err(AnswerError::Unable(format!("{kind}: {}", words(&error))))
            }
            (status, ..) => Err(AnswerError::NotPrometheus(format!("status `{}`", words(status)))),
        }
    }

    fn of(data: Data) -> Result<Self, AnswerError> {
        let damaged = |error: serde_json::Error| AnswerError::NotPrometheus(error.to_string());
        match data.result_type.as_str() {
            "vector" => {
                let series: Vec<Series> = serde_json::from_value(data.result).map_err(damaged)?;
                Self::of_series(&series)
            }
            "scalar" => {
                let (_, text): (serde_json::Value, String) =
                    serde_json::from_value(data.result).map_err(damaged)?;
                Self::of_text(&text)
            }
            other => Ok(Self::nothing(format!(
                "the query gives a {}, not a number; wrap it in rate() or avg_over_time()",
                words(other)
            ))),
        }
    }

    fn of_series(series: &[Series]) -> Result<Self, AnswerError> {
        match series {
            [] => Ok(Self::nothing("the query gives no series")),
            [Series { value: Some((_, text)) }] => Self::of_text(text),
            [_] => Ok(Self::nothing("the query gives a histogram; use histogram_quantile()")),
            many => Ok(Self::nothing(format!(
                "the query gives {} series; make one of them with sum() or max()",
                many.len()
            ))),
        }
    }

    fn of_text(text: &str) -> Result<Self, AnswerError> {
        let number = match text {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().map_err(|_| {
                AnswerError::NotPrometheus(format!("`{}` is no number", words(text)))
            })?,
        };
        if number.is_nan() {
            return Ok(Self::nothing("the query gives NaN, as 0 divided by 0 does"));
        }
        Ok(Self::Number(number))
    }

    pub(super) fn nothing(why: impl Into<String>) -> Self {
        Self::Nothing(why.into())
    }
}

/// Somebody else's words on one line, cut.
pub(super) fn words(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(WORDS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vector(values: &[&str]) -> String {
        let series = values.iter().map(|value| json!({"metric": {}, "value": [1.5, value]}));
        let result: Vec<_> = series.collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string()
    }

    fn check(body: &str, expected: &str) {
        let read = match Reading::parse(body.as_bytes()) {
            Ok(Reading::Number(number)) => format!("{number}"),
            Ok(Reading::Nothing(why)) => format!("nothing: {why}"),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(read, expected, "{body}");
    }

    #[test]
    fn one_number_is_read_and_nothing_else_is_one() {
        check(&vector(&["0.25"]), "0.25");
        check(&vector(&["1e-7"]), "0.0000001");
        check(&vector(&["+Inf"]), "inf");
        check(&vector(&["-Inf"]), "-inf");
        check(&vector(&["NaN"]), "nothing: the query gives NaN, as 0 divided by 0 does");
        check(&vector(&[]), "nothing: the query gives no series");
        check(
            &vector(&["1", "2", "3"]),
            "nothing: the query gives 3 series; make one of them with sum() or max()",
        );
        check(
            &vector(&["many"]),
            "error: the answer is not that of Prometheus: `many` is no number",
        );
        let scalar = |result| json!({"status": "success", "data": result}).to_string();
        check(&scalar(json!({"resultType": "scalar", "result": [1, "7"]})), "7");
        check(
            &scalar(json!({"resultType": "matrix", "result": []})),
            "nothing: the query gives a matrix, not a number; wrap it in rate() or avg_over_time()",
        );
        check(
            &scalar(
                json!({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}),
            ),
            "nothing: the query gives a histogram; use histogram_quantile()",
        );
    }

    #[test]
    fn a_query_that_is_wrong_is_told_from_a_server_that_can_not() {
        let error = |kind: &str, text: &str| {
            json!({"status": "error", "errorType": kind, "error": text}).to_string()
        };
        check(
            &error("bad_data", "parse error: unexpected\nend of input"),
            "nothing: the query is refused: parse error: unexpected end of input",
        );
        check(&error("execution", "many-to-many"), "nothing: the query is refused: many-to-many");
        check(
            &error("timeout", "query timed out"),
            "error: Prometheus could not answer: timeout: query timed out",
        );
        check(
            "<html>",
            "error: the answer is not that of Prometheus: expected value at line 1 column 1",
        );
        check(r#"{"status": "ok"}"#, "error: the answer is not that of Prometheus: status `ok`");
        let long = "x".repeat(5000);
        let Err(error) = Reading::parse(error("internal", &long).as_bytes()) else { panic!() };
        assert!(error.to_string().len() < 400);
    }

    #[test]
    fn a_part_of_the_data_is_no_ground_to_judge() {
        let body = json!({"status": "success", "warnings": ["store-3: connection refused"],
            "data": {"resultType": "scalar", "result": [1, "0"]}});
        check(&body.to_string(), "nothing: it warns: store-3: connection refused");
    }
}
