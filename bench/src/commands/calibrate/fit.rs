//! A line through points: least squares of the relative error, with no value below nothing.

use std::time::Duration;

use super::points::Point;

/// The values of the terms. A term that would count backwards counts nothing, and the others are fitted anew. None if
/// the points do not tell the terms apart.
///
/// Relative, so that a step of 3 ms weighs as much as one of 300: a profile shall be right in tenths everywhere.
pub(super) fn line<const N: usize>(points: &[Point]) -> Option<[Duration; N]> {
    let mut used = [true; N];
    loop {
        let values = solve(points, used)?;
        // The most negative one goes first; it may have pushed another below nothing.
        let worst = (0..N).filter(|at| values.get(*at).is_some_and(|value| *value < 0.0));
        let value = |at: usize| values.get(at).copied().unwrap_or_default();
        match worst.min_by(|one, other| value(*one).total_cmp(&value(*other))) {
            Some(at) => *used.get_mut(at)? = false,
            None => return Some(values.map(|seconds| Duration::from_nanos((seconds * 1e9).round() as u64))),
        }
    }
}

/// The normal equations, solved by elimination; terms that are not used are zero.
fn solve<const N: usize>(points: &[Point], used: [bool; N]) -> Option<[f64; N]> {
    let mut rows = [[0.0_f64; N]; N];
    let mut right = [0.0_f64; N];
    for point in points {
        let time = point.least.as_secs_f64();
        if time <= 0.0 || point.terms.len() != N {
            return None;
        }
        let mut terms = [0.0; N];
        for ((slot, term), used) in terms.iter_mut().zip(&point.terms).zip(used) {
            *slot = if used { term / time } else { 0.0 };
        }
        for ((row, sum), term) in rows.iter_mut().zip(&mut right).zip(terms) {
            row.iter_mut().zip(terms).for_each(|(cell, other)| *cell += term * other);
            *sum += term;
        }
    }
    for (at, used) in used.into_iter().enumerate() {
        if !used {
            *rows.get_mut(at)?.get_mut(at)? = 1.0;
        }
    }
    eliminate(rows, right)
}

/// Gauss and Jordan, with the largest pivot; none if it is as good as zero beside what it was.
fn eliminate<const N: usize>(mut rows: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let size = |row: &[f64; N]| row.get(column).map_or(0.0, |cell| cell.abs());
        let pivot = (column..N)
            .max_by(|one, other| rows.get(*one).map_or(0.0, size).total_cmp(&rows.get(*other).map_or(0.0, size)))?;
        rows.swap(column, pivot);
        right.swap(column, pivot);
        let (lead, value) = (*rows.get(column)?, *right.get(column)?);
        let head = *lead.get(column)?;
        let scale = lead.iter().map(|cell| cell.abs()).fold(0.0, f64::max);
        if head.abs() <= scale * 1e-12 || head == 0.0 {
            return None;
        }
        for (at, (row, sum)) in rows.iter_mut().zip(&mut right).enumerate() {
            let factor = *row.get(column)? / head;
            if at != column {
                row.iter_mut().zip(lead).for_each(|(cell, other)| *cell -= factor * other);
                *sum -= factor * value;
            }
        }
    }
    let mut values = [0.0; N];
    for (at, value) in values.iter_mut().enumerate() {
        *value = right.get(at)? / rows.get(at)?.get(at)?;
    }
    Some(values)
}
