//! What the traces in CSV have in common: a header, and fields by their names.

use std::io::BufRead;

use csv::StringRecord;

use super::TraceError;
use super::read::{Place, Requests};

/// Reads a table line by line. `each` gets the values of `columns`, in that order; those that may be absent are in
/// `optional`, and follow.
pub(super) fn read<const N: usize, const M: usize>(
    input: impl BufRead,
    requests: &mut Requests<'_>,
    columns: [&'static str; N],
    optional: [&'static str; M],
    mut each: impl FnMut(&mut Requests<'_>, Place<'_>, [&str; N], [Option<&str>; M]) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
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
        csv::ErrorKind::Io(source) => place.file(source),
        csv::ErrorKind::Utf8 { .. } => place.problem("is no UTF-8 text: is this a trace?"),
        _ => place.problem("is no line of CSV: write values with commas between them"),
    }
}
