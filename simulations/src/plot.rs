//! What all plots share.
//!
//! Rules: SVG alone, which needs no fonts; the same figures give the same bytes; only what is finite is drawn, as an
//! axis without an end has no end of lines either.

use plotters::chart::{ChartContext, SeriesLabelPosition};
use plotters::coord::CoordTranslate;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::PathElement;
use plotters::prelude::SVGBackend;
use plotters::style::{BLACK, Color, RGBColor, WHITE};

/// Lines beside each other can be told apart by these.
pub(crate) const COLOURS: [RGBColor; 8] = [
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
    #[error("there is nothing to plot: {0}")]
    Empty(&'static str),
    /// Drawing failed.
    #[error("the plot cannot be drawn: {0}")]
    Draw(String),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Draw(error.to_string())
    }
}

/// Where is drawn.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A plot of so many pixels, as SVG.
///
/// # Errors
/// It cannot be drawn.
pub(crate) fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut out = String::new();
    {
        let root = SVGBackend::with_string(&mut out, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root)?;
        root.present()?;
    }
    Ok(out)
}

/// How a line looks in the legend.
pub(crate) fn stroke<'a>(colour: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> + 'a {
    move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
}

/// Draws the legend.
///
/// # Errors
/// It cannot be drawn.
pub(crate) fn legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    position: SeriesLabelPosition,
) -> Result<(), PlotError> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
