//! Savings against quality, a panel for each mix with labels.
//!
//! Rules: SVG alone; the same report gives the same bytes. The shaded corner is what is looked for: 60 to 80 % saved
//! with at least 95 % of the best tier's quality kept.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::element::{Circle, Cross, Rectangle};
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, RGBColor, WHITE};

use super::measure::{Against, Point};
use super::report::Report;
use super::run::{MixReport, SAVED, WANTED};
use crate::plot::{Area, COLOURS, PlotError, legend, stroke};

const WIDTH: u32 = 1100;
const PANEL: u32 = 420;
const SHADE: RGBColor = RGBColor(0xd8, 0xee, 0xd8);
/// Of the best tier's quality, in percent: what is beyond says only that the best tier got next to nothing.
const MOST: f64 = 200.0;

/// The plot of a comparison, as SVG.
///
/// # Errors
/// There is nothing to show, or it cannot be drawn.
pub fn svg(report: &Report) -> Result<String, PlotError> {
    let mixes: Vec<&MixReport> = report.mixes.iter().filter(|mix| mix.labelled).collect();
    if mixes.is_empty() {
        return Err(PlotError::Empty("quality needs labelled prompts (--data FILE) and a mix with labels"));
    }
    let columns = mixes.len().min(2);
    let lines = mixes.len().div_ceil(columns);
    crate::plot::svg((WIDTH, PANEL * lines as u32), |root| {
        for (area, mix) in root.split_evenly((lines, columns)).iter().zip(&mixes) {
            panel(area, mix)?;
        }
        Ok(())
    })
}

fn panel(area: &Area<'_>, mix: &MixReport) -> Result<(), PlotError> {
    let percent = |against: &Against| {
        let point = (100.0 * against.saved, 100.0 * against.kept);
        (point.0.is_finite() && (0.0..=MOST).contains(&point.1)).then_some(point)
    };
    let curves = mix.curves.iter().map(|(name, curve)| (*name, curve));
    let unseen = mix.anew.iter().map(|anew| ("auto, task never seen", &anew.unseen));
    let curves: Vec<(&str, &Vec<Point>)> = curves.chain(unseen).collect();
    let points = || curves.iter().flat_map(|(_, curve)| curve.iter()).filter_map(|point| percent(&point.against));
    let rows = || mix.rows.iter().filter_map(|row| percent(&row.against));
    let all = || points().chain(rows());
    let low = all().map(|(_, kept)| kept).fold(94.0, f64::min).floor() - 1.0;
    let high = all().map(|(_, kept)| kept).fold(101.0, f64::max).ceil() + 3.0;
    let title = format!("{}: quality kept (%) against savings (%)", mix.priced.mix.name);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(-25.0..100.0, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("saved against the best tier alone, %")
        .y_desc("of its quality, %")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    let corner = [(100.0 * SAVED.0, 100.0 * WANTED), (100.0 * SAVED.1, high)];
    chart.draw_series([Rectangle::new(corner, SHADE.mix(0.7).filled())])?;
    for ((name, curve), colour) in curves.iter().zip(COLOURS) {
        let line = LineSeries::new(curve.iter().filter_map(|point| percent(&point.against)), colour.stroke_width(2));
        chart.draw_series(line)?.label(*name).legend(stroke(colour));
    }
    let of = |begin: &'static str| {
        mix.rows.iter().filter(move |row| row.name.starts_with(begin)).filter_map(|row| percent(&row.against))
    };
    chart
        .draw_series(of("auto:").take(3).map(|point| Circle::new(point, 4, BLACK.filled())))?
        .label("auto:cheap, balanced, best")
        .legend(|(x, y)| Circle::new((x + 8, y), 4, BLACK.filled()));
    chart
        .draw_series(of("oracle").map(|point| Cross::new(point, 5, BLACK.stroke_width(2))))?
        .label("cheapest good enough by the labels")
        .legend(|(x, y)| Cross::new((x + 8, y), 5, BLACK.stroke_width(2)));
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}
