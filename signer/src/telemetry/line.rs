//! A line of the log: when, how bad, for which request, from where, and what happened.
//!
//! The request comes from the task that logs and not from a span. A span is written out when it is
//! opened, so every request would pay for the text of its first line, and a signature that is
//! served from memory has no line.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Escaped;
use crate::config::LogFormat;

/// What the lines of one task have in common.
pub trait Context: Send + Sync {
    /// Its name, such as `request`.
    fn name(&self) -> &'static str;

    /// Shows each of its fields; they are escaped here.
    fn fields(&self, show: &mut dyn FnMut(&'static str, &dyn fmt::Display));
}

/// Runs the future so that all its lines carry the context. Tasks that it spawns do not inherit it.
pub async fn within<F: Future>(context: Arc<dyn Context>, future: F) -> F::Output {
    CONTEXT.scope(context, future).await
}

tokio::task_local! {
    static CONTEXT: Arc<dyn Context>;
}

/// How events become lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Self(format) = self;
        match format {
            LogFormat::Json => writeln!(writer, "{}", json(event)?),
            LogFormat::Text => {
                prefix(&mut writer, event)?;
                context.format_fields(writer.by_ref(), event)?;
                writeln!(writer)
            }
        }
    }
}

/// `TIME LEVEL request{name=value ..}: TARGET: `.
fn prefix(writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    SystemTime.format_time(writer)?;
    let level = metadata.level();
    if writer.has_ansi_escapes() {
        let colour = colour(*level);
        write!(writer, " \u{1b}[{colour}m{level:>5}\u{1b}[0m ")?;
    } else {
        write!(writer, " {level:>5} ")?;
    }
    with_context(|context| {
        write!(writer, "{}{{", context.name())?;
        let (mut result, mut blank) = (Ok(()), "");
        context.fields(&mut |name, value| {
            let value = value.to_string();
            result = result.and_then(|()| write!(writer, "{blank}{name}={}", Escaped(&value)));
            blank = " ";
        });
        result?;
        write!(writer, "}}: ")
    })?;
    write!(writer, "{}: ", metadata.target())
}

/// The event's own fields beside `timestamp`, `level` and `target`, and the context as an object.
fn json(event: &Event<'_>) -> Result<Value, fmt::Error> {
    let metadata = event.metadata();
    let mut line = Members(Map::new());
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    line.put("timestamp", time);
    line.put("level", metadata.level().as_str());
    line.put("target", metadata.target());
    with_context(|context| {
        let mut members = Members(Map::new());
        context.fields(&mut |name, value| members.put(name, value.to_string()));
        line.put(context.name(), members.0);
        Ok(())
    })?;
    event.record(&mut line);
    Ok(Value::Object(line.0))
}

fn with_context(write: impl FnOnce(&dyn Context) -> fmt::Result) -> fmt::Result {
    // Outside a request there is none, and nothing to write.
    CONTEXT
        .try_with(|context| write(context.as_ref()))
        .unwrap_or(Ok(()))
}

/// ECMA-48, "select graphic rendition".
const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// A JSON object that fields are recorded into.
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::Written;

    struct Master;

    impl Context for Master {
        fn name(&self) -> &'static str {
            "request"
        }

        fn fields(&self, show: &mut dyn FnMut(&'static str, &dyn fmt::Display)) {
            show("method", &"GET");
            show("path", &"/v1/\u{1b}[2J");
        }
    }

    async fn lines(format: LogFormat) -> Vec<String> {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(Line(format))
            .with_writer(written.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        tracing::warn!(count = 3_u64, "outside");
        let inside = async { tracing::info!(status = 200_u16, by = %"ada", "answered") };
        within(Arc::new(Master), inside).await;
        drop(guard);
        written.lines()
    }

    #[tokio::test]
    async fn a_line_of_text_names_its_request() {
        let lines = lines(LogFormat::Text).await;
        let target = module_path!();
        let [outside, inside] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        let line = format!("Z  WARN {target}: outside count=3");
        assert!(outside.ends_with(&line), "{outside}");
        let line = format!(
            "Z  INFO request{{method=GET path=/v1/\\u{{1b}}[2J}}: {target}: answered status=200 by=ada"
        );
        assert!(inside.ends_with(&line), "{inside}");
    }

    #[tokio::test]
    async fn a_line_of_json_holds_the_request_as_an_object() {
        let lines = lines(LogFormat::Json).await;
        let parsed: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [outside, inside] = parsed.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!(
            (&outside["level"], &outside["count"]),
            (&"WARN".into(), &3.into())
        );
        assert_eq!(outside.get("request"), None);
        assert_eq!(inside["message"], "answered");
        assert_eq!(inside["status"], 200);
        assert_eq!(inside["by"], "ada");
        assert_eq!(inside["target"], module_path!());
        assert_eq!(
            inside["request"],
            serde_json::json!({ "method": "GET", "path": "/v1/\u{1b}[2J" })
        );
        assert!(inside["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
