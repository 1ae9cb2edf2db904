//! What the traces in CSV have in common: a header, and fields by their names.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use csv::StringRecord;

use super::TraceError;
use super::read::{Place, Requests};

/// The longest line, with what is read ahead of it: far more than any trace has.
const LONGEST_LINE: u64 = 1 << 20;

/// Gives no more than what is left, so that a line without an end is not kept.
struct Bounded<'a, R> {
    input: R,
    left: &'a Cell<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("is longer than {LONGEST_LINE} bytes: write one request a line, and close quotes")]
struct TooLong;

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other(TooLong));
        }
        let read = self.input.by_ref().take(self.left.get()).read(into)?;
        self.left.set(self.left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

/// Reads a table line by line. `each` gets the values of `columns`, in that order; those that may be absent are in
/// `optional`, and follow.
pub(super) fn read<const N: usize, const M: usize>(
    input: impl BufRead,
    requests: &mut Requests<'_>,
    columns: [&'static str; N],
    optional: [&'static str; M],
    mut each: impl FnMut(&mut Requests<'_>, Place<'_>, [&str; N], [Option<&str>; M]) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    let left = Cell::new(LONGEST_LINE);
    let input = Bounded { input, left: &left };
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let header = reader.headers().map_err(|error| fault(requests.place(1), error))?.clone();
    let place = requests.place(header.position().map_or(1, csv::Position::line));
    let find = |column: &str| header.iter().position(|name| name == column);
    let mut places = [0; N];
    for (at, column) in places.iter_mut().zip(columns) {
        *at = find(column).ok_or_else(|| place.missing(column, "name it in the header, with a column below"))?;
    }
    let optional = optional.map(find);
    let mut record = StringRecord::new();
    while !requests.is_full() {
        let before = requests.place(reader.position().line());
        left.set(LONGEST_LINE);
        if !reader.read_record(&mut record).map_err(|error| fault(before, error))? {
            break;
        }
        let place = requests.place(record.position().map_or(0, csv::Position::line));
        let value = |at: usize| record.get(at).filter(|text| !text.is_empty());
        let mut values = [""; N];
        for ((slot, at), column) in values.iter_mut().zip(places).zip(columns) {
            *slot = value(at).ok_or_else(|| place.missing(column, "write it, or leave the line out"))?;
        }
        each(requests, place, values, optional.map(|at| at.and_then(value)))?;
    }
    Ok(())
}

fn fault(place: Place<'_>, error: csv::Error) -> TraceError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => match source.get_ref().and_then(|inner| inner.downcast_ref::<TooLong>()) {
            Some(too_long) => place.problem(too_long.to_string()),
            None => place.file(source),
        },
        csv::ErrorKind::Utf8 { .. } => place.problem("is no UTF-8 text: is this a trace?"),
        _ => place.problem("is no line of CSV: write values with commas between them"),
    }
}
