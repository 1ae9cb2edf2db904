//! Server-sent events, out of bytes cut anywhere.
//!
//! Rules: as the HTML standard has them: lines end in LF, CR or both; a blank line ends an event; `data` lines are
//! joined by LF; comments and unknown fields are left out; an event that the end of the stream cuts is none. What is
//! beyond a bound, or no UTF-8, is an error, after which nothing more is read.

/// The longest line. A chunk of an answer is far shorter; a call's arguments may come in one piece.
pub const MAX_LINE: usize = 1 << 20;
/// The longest event.
pub const MAX_EVENT: usize = 4 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type, where one is named.
    pub event: Option<String>,
    /// Its data.
    pub data: String,
}

/// What is no stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line goes on and on.
    #[error("a line of the event stream is longer than {0} bytes")]
    LongLine(usize),
    /// An event goes on and on.
    #[error("an event of the stream is longer than {0} bytes")]
    LongEvent(usize),
    /// A line is no text.
    #[error("a line of the event stream is not UTF-8")]
    NotUtf8,
}

/// Reads events as bytes come.
#[derive(Clone, Debug)]
pub struct Parser {
    max_line: usize,
    max_event: usize,
    /// What has come of the line.
    line: Vec<u8>,
    /// What has come of the event, and whether any data has.
    event: Event,
    has_data: bool,
    /// The last byte was CR: an LF belongs to it.
    after_cr: bool,
    /// Nothing has come yet: a byte order mark may.
    fresh: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(MAX_LINE, MAX_EVENT)
    }
}

impl Parser {
    /// With bounds, in bytes.
    pub fn new(max_line: usize, max_event: usize) -> Self {
        let (line, event) = (Vec::new(), Event::default());
        Self { max_line, max_event, line, event, has_data: false, after_cr: false, fresh: true }
    }

    /// More bytes have come; the events that they complete are put into `events`.
    ///
    /// # Errors
    /// It is no stream of events, or goes beyond the bounds.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + part.len() > self.max_line {
                return Err(SseError::LongLine(self.max_line));
            }
            self.line.extend_from_slice(part);
            let Some((mark, rest)) = rest.split_first() else { break };
            self.after_cr = *mark == b'\r';
            bytes = rest;
            let line = std::mem::take(&mut self.line);
            self.on_line(&line, events)?;
            // Its memory serves the next line.
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn on_line(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        let line = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
        let line = if std::mem::take(&mut self.fresh) { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() >= self.max_event {
                    return Err(SseError::LongEvent(self.max_event));
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.event = Some(value.to_owned()),
            // `id` and `retry` are for those who connect again, which would be asked twice.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
