//! The sweep as a plot: a column for each delay, hit rate above, tail below, a line for each number of coordinators.

use std::collections::BTreeSet;

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::element::Circle;
use plotters::series::LineSeries;
use plotters::style::{Color, WHITE};
use protocol::units::Span;

use super::sweep::Row;
use crate::plot::{Area, COLOURS, PlotError, legend, stroke};

const PANEL: (u32, u32) = (420, 320);

/// What is shown of a row.
type Figure = fn(&Row) -> f64;

/// Hit rate and tail over nodes, as SVG.
///
/// # Errors
/// There is nothing to show, or it cannot be drawn.
pub fn svg(rows: &[Row]) -> Result<String, PlotError> {
    let delays: BTreeSet<_> = rows.iter().map(|row| row.delay.0).collect();
    if delays.is_empty() {
        return Err(PlotError::Empty("no cluster was simulated"));
    }
    let slowest = rows.iter().map(|row| 1e3 * row.ttft_p99).filter(|time| time.is_finite()).fold(1.0, f64::max);
    let size = (PANEL.0 * delays.len() as u32, PANEL.1 * 2);
    crate::plot::svg(size, |root| {
        let panels = root.split_evenly((2, delays.len()));
        let figures: [(&str, f64, Figure); 2] = [
            ("hits, % of prompt tokens", 100.0, |row| 100.0 * row.hits),
            ("TTFT p99, ms", 1.1 * slowest, |row| 1e3 * row.ttft_p99),
        ];
        let all = figures.iter().flat_map(|figure| delays.iter().map(move |delay| (figure, delay)));
        for (area, ((name, most, figure), delay)) in panels.iter().zip(all) {
            let those: Vec<&Row> = rows.iter().filter(|row| row.delay.0 == *delay).collect();
            panel(area, &format!("{name}; views {} late", Span(*delay)), *most, &those, *figure)?;
        }
        Ok(())
    })
}

fn panel(area: &Area<'_>, title: &str, most: f64, rows: &[&Row], figure: Figure) -> Result<(), PlotError> {
    let nodes = || rows.iter().map(|row| f64::from(row.nodes));
    let (least, last) = (nodes().fold(f64::INFINITY, f64::min), nodes().fold(1.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((least.min(last) * 0.8..last * 1.25).log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("nodes")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    let coordinators: BTreeSet<u32> = rows.iter().map(|row| row.coordinators).collect();
    for (count, colour) in coordinators.iter().zip(COLOURS.into_iter().cycle()) {
        let of = rows.iter().filter(|row| row.coordinators == *count);
        let mut points: Vec<(f64, f64)> = of.map(|row| (f64::from(row.nodes), figure(row))).collect();
        points.retain(|point| point.1.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = if *count == 1 { "1 coordinator".to_owned() } else { format!("{count} coordinators") };
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(stroke(colour));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

#[cfg(test)]
mod tests;
