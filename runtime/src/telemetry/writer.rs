//! The writer of log lines.

use std::io::{self, Write};

use upshot_shared::visible::json_visible;

/// Takes whole lines. A line that cannot be written is counted and dropped, because a closed or
/// full log must not stop a service.
pub(super) struct LogWriter<W> {
    inner: W,
    is_json: bool,
}

impl<W: Write> LogWriter<W> {
    /// Text lines are escaped field by field, because their colours are escapes too; JSON lines as
    /// a whole.
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
