//! Bars side by side, one group to a label, with a mark for what each group should be. One panel or several, one
//! below the other.
//!
//! The library measures no text without a font, so room is made here by the number of characters.

use std::fmt::Display;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a character of `TEXT`, rounded up for the widest usual fonts.
pub(super) const CHARACTER: u32 = 8;
/// The sizes of texts, as the library counts them.
pub(super) const TEXT: i32 = 15;
pub(super) const TITLE: i32 = 20;
/// Room around everything.
pub(super) const MARGIN: u32 = 12;

/// Pixels for a title, and for the line that explains the colours.
const LINE: u32 = 30;
/// Pixels to the left of the y axis.
const Y_LABELS: u32 = 90;
/// The height of the bars themselves.
const HEIGHT: u32 = 300;
/// Bounds of the width: a narrow plot leaves no room for its title.
const WIDTH_MIN: u32 = 760;
/// From this width on, bars are drawn as thin as can be.
const WIDTH_WANTED: u32 = 4_000;
/// Pixels of a bar, and the most of a group where there are few.
const BAR: u32 = 16;
const GROUP_MAX: u32 = 160;
/// Labels closer than this are left out.
const LABEL_GAP: u32 = 16;

/// One panel.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    /// What the labels are.
    pub(super) x: &'a str,
    /// What the values are.
    pub(super) y: &'a str,
    pub(super) labels: Vec<String>,
    pub(super) series: Vec<Series>,
    pub(super) marks: Option<Marks>,
}

/// One bar of each group; none where there is no value.
pub(super) struct Series {
    name: &'static str,
    colour: RGBColor,
    values: Vec<Option<f64>>,
}

/// What each group should be.
pub(super) struct Marks {
    pub(super) name: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

impl Series {
    pub(super) fn new(name: &'static str, colour: RGBColor, values: Vec<Option<f64>>) -> Self {
        Self { name, colour, values }
    }
}

/// The panels as an SVG document.
///
/// # Errors
/// What the drawing library says.
pub(super) fn svg(panels: &[Bars<'_>]) -> Result<String, String> {
    let width = panels.iter().map(Bars::width).max().unwrap_or(WIDTH_MIN);
    let height: u32 = panels.iter().map(Bars::height).sum();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        root.fill(&WHITE).map_err(said)?;
        let mut rest = root.clone();
        for panel in panels {
            let (area, below) = rest.split_vertically(panel.height());
            panel.draw(&area, width).map_err(said)?;
            rest = below;
        }
        root.present().map_err(said)?;
    }
    Ok(svg)
}

pub(super) fn said(error: impl Display) -> String {
    error.to_string()
}

/// Pixels that the longest of `texts` takes at most.
pub(super) fn text_room<'a>(texts: impl IntoIterator<Item = &'a String>) -> u32 {
    texts.into_iter().map(|text| text.chars().count() as u32 * CHARACTER).max().unwrap_or(0)
}

/// Text in the usual size and colour, hung up at `pos`.
pub(super) fn text(pos: Pos) -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&BLACK).pos(pos)
}

impl Bars<'_> {
    /// Pixels of a group of bars with the gap behind it.
    fn group(&self) -> u32 {
        let (bars, groups) = (self.series.len() as u32, self.labels.len().max(1) as u32);
        let wanted = bars * BAR + BAR / 2;
        let fills = ((WIDTH_MIN - Y_LABELS - 3 * MARGIN) / groups).min(GROUP_MAX);
        wanted.min(WIDTH_WANTED / groups).max(fills).max(bars + 1)
    }

    fn width(&self) -> u32 {
        (Y_LABELS + self.labels.len() as u32 * self.group() + 3 * MARGIN).max(WIDTH_MIN)
    }

    fn height(&self) -> u32 {
        2 * LINE + HEIGHT + self.label_room() + LINE + 2 * MARGIN
    }

    /// Labels stand upright below their bars.
    fn label_room(&self) -> u32 {
        text_room(&self.labels) + MARGIN
    }

    fn draw<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        width: u32,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let title = ("sans-serif", TITLE).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Top));
        area.draw_text(self.title, &title, (MARGIN as i32, MARGIN as i32))?;
        self.draw_legend(area)?;
        let values = self.series.iter().flat_map(|series| &series.values);
        let marks = self.marks.iter().flat_map(|marks| &marks.values);
        let top = values.chain(marks).flatten().fold(0.0, |top: f64, value| top.max(*value));
        let top = if top > 0.0 { top * 1.08 } else { 1.0 };
        let used = (Y_LABELS + self.labels.len() as u32 * self.group() + 2 * MARGIN).min(width);
        let mut chart = ChartBuilder::on(area)
            .margin_left(MARGIN)
            .margin_top(MARGIN + 2 * LINE)
            .margin_bottom(MARGIN)
            .margin_right(width - used)
            .x_label_area_size(self.label_room() + LINE)
            .y_label_area_size(Y_LABELS - MARGIN)
            .build_cartesian_2d(0.0..self.labels.len().max(1) as f64, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(8)
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style(("sans-serif", TEXT))
            .y_label_formatter(&|value| short(*value))
            .light_line_style(TRANSPARENT)
            .draw()?;
        let step = 1.0 / (self.series.len() as f64 + 0.5);
        for (number, series) in self.series.iter().enumerate() {
            let bar = |(group, value): (usize, &Option<f64>)| {
                let left = group as f64 + (number as f64 + 0.25) * step;
                value.map(|value| {
                    Rectangle::new([(left, 0.0), (left + step * 0.92, value)], series.colour.filled())
                })
            };
            chart.draw_series(series.values.iter().enumerate().filter_map(bar))?;
        }
        if let Some(marks) = &self.marks {
            let line = |(group, value): (usize, &Option<f64>)| {
                let group = group as f64;
                value.map(|value| {
                    PathElement::new([(group, value), (group + 1.0, value)], BLACK.stroke_width(2))
                })
            };
            chart.draw_series(marks.values.iter().enumerate().filter_map(line))?;
        }
        let every = (LABEL_GAP.div_ceil(self.group())).max(1) as usize;
        let style = text(Pos::new(HPos::Right, VPos::Center)).transform(FontTransform::Rotate270);
        for (group, label) in self.labels.iter().enumerate().step_by(every) {
            let (x, y) = chart.backend_coord(&(group as f64 + 0.5, 0.0));
            let (origin_x, origin_y) = area.get_base_pixel();
            area.draw_text(label, &style, (x - origin_x, y - origin_y + 6))?;
        }
        Ok(())
    }

    /// One line below the title.
    fn draw_legend<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let middle = (MARGIN + LINE + LINE / 2) as i32;
        let mut x = MARGIN as i32;
        let style = text(Pos::new(HPos::Left, VPos::Center));
        let series = self.series.iter().map(|series| (series.name, Some(series.colour)));
        for (name, colour) in series.chain(self.marks.iter().map(|marks| (marks.name, None))) {
            match colour {
                Some(colour) => {
                    area.draw(&Rectangle::new([(x, middle - 6), (x + 12, middle + 6)], colour.filled()))?
                }
                None => {
                    area.draw(&PathElement::new([(x, middle), (x + 12, middle)], BLACK.stroke_width(2)))?
                }
            }
            area.draw_text(name, &style, (x + 18, middle))?;
            x += 18 + (name.chars().count() as u32 * CHARACTER + 2 * MARGIN) as i32;
        }
        Ok(())
    }
}

/// A number with no more digits than an axis needs.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_an_axis_are_short() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.25"),
            (7.0, "7"),
            (9_999.0, "9999"),
            (20_000.0, "20k"),
            (1_500_000.0, "1.5M"),
        ];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn thousands_of_bars_get_thinner_not_wider_without_end() {
        let bars = |count: usize| Bars {
            title: "",
            x: "",
            y: "",
            labels: (0..count).map(|number| number.to_string()).collect(),
            series: vec![Series::new("", RED, vec![None; count])],
            marks: None,
        };
        assert_eq!(bars(1).width(), WIDTH_MIN);
        assert!(bars(150).width() > 150 * BAR);
        assert!(bars(1_000).width() < WIDTH_WANTED + Y_LABELS + 4 * MARGIN);
        assert!(svg(&[bars(0)]).is_ok(), "nothing at all can be drawn");
    }
}
