//! Where log lines go.

use std::io::{self, Write};

use upshot_shared::visible::json_visible;

/// Takes whole lines. One that cannot be written is counted and dropped: a log that is closed or
/// full is no reason to stop working.
pub(super) struct LogWriter<W> {
    inner: W,
    is_json: bool,
}

impl<W: Write> LogWriter<W> {
    /// Lines for people are escaped field by field, because their colours are escapes too; those
    /// of JSON as a whole.
    pub(super) fn new(inner: W, is_json: bool) -> Self {
        Self { inner, is_json }
    }
}

impl<W: Write> Write for LogWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = if self.is_json {
            self.inner.write_all(json_visible(&String::from_utf8_lossy(line)).as_bytes())
        } else {
            self.inner.write_all(line)
        };
        if written.is_err() {
            metrics::counter!("upshot_log_lines_lost_total").increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
