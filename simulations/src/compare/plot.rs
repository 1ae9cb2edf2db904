//! A comparison as a plot: how soon first tokens come by each rule.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::series::LineSeries;
use plotters::style::{Color, WHITE};

use super::Comparison;
use crate::plot::{COLOURS, PlotError, legend, stroke, svg};

const SIZE: (u32, u32) = (900, 520);

/// The share of all requests with a first token within a time, by rule, as SVG.
///
/// # Errors
/// There is nothing to show, or it cannot be drawn.
pub fn ttft(comparison: &Comparison) -> Result<String, PlotError> {
    let all = || comparison.rows.iter().flat_map(|row| row.ttft.iter().copied()).filter(|time| *time > 0.0);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if !least.is_finite() || !most.is_finite() {
        return Err(PlotError::Empty("no request had a first token"));
    }
    svg(SIZE, |root| {
        let caption = format!("first token within a time: {} on {}", comparison.trace, comparison.nodes);
        let mut chart = ChartBuilder::on(root)
            .caption(caption, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(38)
            .y_label_area_size(50)
            .build_cartesian_2d((least..most * 1.05).log_scale(), 0.0..100.0)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("seconds")
            .y_desc("of the requests, %")
            .x_label_formatter(&|value| format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned())
            .y_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for (row, colour) in comparison.rows.iter().zip(COLOURS) {
            let points = row.ttft.iter().enumerate().map(|(hundredth, time)| (time.max(least), hundredth as f64));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(row.rule.as_str())
                .legend(stroke(colour));
        }
        legend(&mut chart, SeriesLabelPosition::LowerRight)
    })
}
