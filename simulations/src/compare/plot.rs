//! A comparison as plots: how soon first tokens come by each rule, and what share of the prompts was cached.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::PathElement;
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, RGBColor, WHITE};

use super::Comparison;

const SIZE: (u32, u32) = (900, 520);
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x1f, 0x5f, 0xbf),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0xc7, 0x7c, 0x11),
    RGBColor(0xb0, 0x30, 0x60),
    RGBColor(0x7b, 0x52, 0xab),
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0x6b, 0x4f, 0x2a),
    RGBColor(0x00, 0x00, 0x00),
];

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Nothing to show.
    #[error("there is nothing to plot: no request had a first token")]
    Empty,
    /// Drawing failed.
    #[error("the plot cannot be drawn: {0}")]
    Draw(String),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Draw(error.to_string())
    }
}

/// The share of requests with a first token within a time, by rule, as SVG.
///
/// # Errors
/// There is nothing to show, or it cannot be drawn.
pub fn ttft(comparison: &Comparison) -> Result<String, PlotError> {
    let all = || comparison.rows.iter().flat_map(|row| row.ttft.iter().copied()).filter(|time| *time > 0.0);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if !least.is_finite() || most <= 0.0 {
        return Err(PlotError::Empty);
    }
    let mut out = String::new();
    {
        let root = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let caption = format!("first token within a time: {} on {}", comparison.trace, comparison.nodes);
        let mut chart = ChartBuilder::on(&root)
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
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(out)
}
