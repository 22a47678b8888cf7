//! A table of colours: the darker, the more.

use std::collections::{HashMap, HashSet};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::worst;
use super::bars::{CHARACTER, MARGIN, TEXT, TITLE, said, short, text, text_room};

/// The most rows and columns; beyond it, those with the least are left out, and the title says so.
const LINES_MAX: usize = 120;
/// Pixels of a cell: as large as `WANTED` allows, between these bounds.
const CELL_MIN: u32 = 8;
const CELL_MAX: u32 = 32;
const WANTED: u32 = 900;
/// Labels closer than this are left out.
const LABEL_GAP: u32 = 15;
/// Pixels for a line of text.
const LINE: u32 = 28;
/// Pixels for the scale to the right.
const SCALE: u32 = 110;
const SCALE_STEPS: u32 = 5;
const WIDTH_MIN: u32 = 560;

/// A heat map.
pub(super) struct Heat<'a> {
    title: String,
    rows_are: &'a str,
    columns_are: &'a str,
    values_are: &'a str,
    rows: Vec<String>,
    columns: Vec<String>,
    /// Row, column, value above 0.
    cells: Vec<(usize, usize, f64)>,
}

impl<'a> Heat<'a> {
    /// Of the names in `rows` and `columns`, in that order, those that a cell names are shown.
    pub(super) fn new(
        title: &str,
        rows_are: &'a str,
        columns_are: &'a str,
        values_are: &'a str,
        rows: &[String],
        columns: &[String],
        cells: impl Iterator<Item = (String, String, f64)>,
    ) -> Self {
        let cells: Vec<_> = cells.filter(|(_, _, value)| *value > 0.0).collect();
        let (rows, rows_cut) = busiest(rows, cells.iter().map(|(row, _, value)| (row, *value)));
        let (columns, columns_cut) =
            busiest(columns, cells.iter().map(|(_, column, value)| (column, *value)));
        let places = |names: &[String]| names.iter().cloned().zip(0..).collect::<HashMap<String, usize>>();
        let (row_of, column_of) = (places(&rows), places(&columns));
        let cells = cells
            .iter()
            .filter_map(|(row, column, value)| Some((*row_of.get(row)?, *column_of.get(column)?, *value)));
        let title = match rows_cut || columns_cut {
            true => format!("{title} (the busiest {LINES_MAX} each)"),
            false => title.to_owned(),
        };
        Self { title, rows_are, columns_are, values_are, cells: cells.collect(), rows, columns }
    }

    /// As an SVG document.
    ///
    /// # Errors
    /// What the drawing library says.
    pub(super) fn svg(&self) -> Result<String, String> {
        let longer = self.rows.len().max(self.columns.len()).max(1) as u32;
        let cell = (WANTED / longer).clamp(CELL_MIN, CELL_MAX);
        let left = MARGIN + LINE + text_room(&self.rows) + MARGIN;
        let top = MARGIN + 2 * LINE;
        let (across, down) = (cell * self.columns.len() as u32, cell * self.rows.len() as u32);
        let bottom = text_room(&self.columns) + LINE + 2 * MARGIN;
        let title_room =
            self.title.chars().count() as u32 * CHARACTER * TITLE as u32 / TEXT as u32 + 2 * MARGIN;
        let width = (left + across + SCALE + MARGIN).max(WIDTH_MIN).max(title_room);
        let scale = (SCALE_STEPS + 2) * LINE;
        let height = top + down.max(scale) + bottom;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            let layout =
                Layout { cell, left: left as i32, top: top as i32, across: across as i32, down: down as i32 };
            self.draw(&root, &layout).map_err(said)?;
            root.present().map_err(said)?;
        }
        Ok(svg)
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        layout: &Layout,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let Layout { cell, left, top, across, down } = *layout;
        let size = cell as i32;
        let most = self.cells.iter().fold(0.0, |most: f64, (_, _, value)| most.max(*value));
        root.fill(&WHITE)?;
        let title = ("sans-serif", TITLE).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Top));
        root.draw_text(&self.title, &title, (MARGIN as i32, MARGIN as i32))?;
        for (row, column, value) in &self.cells {
            let (x, y) = (left + *column as i32 * size, top + *row as i32 * size);
            root.draw(&Rectangle::new([(x, y), (x + size, y + size)], shade(value / most).filled()))?;
        }
        root.draw(&Rectangle::new([(left, top), (left + across, top + down)], BLACK))?;
        let every = LABEL_GAP.div_ceil(cell) as usize;
        let beside = text(Pos::new(HPos::Right, VPos::Center));
        for (row, name) in self.rows.iter().enumerate().step_by(every) {
            root.draw_text(name, &beside, (left - 6, top + row as i32 * size + size / 2))?;
        }
        let below = beside.transform(FontTransform::Rotate270);
        for (column, name) in self.columns.iter().enumerate().step_by(every) {
            root.draw_text(name, &below, (left + column as i32 * size + size / 2, top + down + 6))?;
        }
        let centre = text(Pos::new(HPos::Center, VPos::Bottom));
        let foot = top + down + (text_room(&self.columns) + LINE + MARGIN) as i32;
        root.draw_text(self.columns_are, &centre, (left + across / 2, foot))?;
        let upright = text(Pos::new(HPos::Center, VPos::Top)).transform(FontTransform::Rotate270);
        // Few rows are lower than their description is long.
        let middle = (down / 2).max((self.rows_are.len() as u32 * CHARACTER / 2) as i32);
        root.draw_text(self.rows_are, &upright, (MARGIN as i32, top + middle))?;
        self.draw_scale(root, layout, most)
    }

    fn draw_scale<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        layout: &Layout,
        most: f64,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let x = layout.left + layout.across + 2 * MARGIN as i32;
        let style = text(Pos::new(HPos::Left, VPos::Center));
        root.draw_text(self.values_are, &style, (x, layout.top + LINE as i32 / 2))?;
        for step in 0..=SCALE_STEPS {
            let part = f64::from(SCALE_STEPS - step) / f64::from(SCALE_STEPS);
            let y = layout.top + ((step + 1) * LINE) as i32;
            let corners = [(x, y), (x + 18, y + LINE as i32)];
            root.draw(&Rectangle::new(corners, shade(part).filled()))?;
            root.draw(&Rectangle::new(corners, BLACK.mix(0.3)))?;
            root.draw_text(&short((most * part).round()), &style, (x + 24, y + LINE as i32 / 2))?;
        }
        Ok(())
    }
}

/// Where everything lies, in pixels.
struct Layout {
    cell: u32,
    left: i32,
    top: i32,
    across: i32,
    down: i32,
}

/// Of `names`, those that have any value, and of these the ones with the most; and whether any were left out.
fn busiest<'b>(names: &[String], values: impl Iterator<Item = (&'b String, f64)>) -> (Vec<String>, bool) {
    let mut sums: HashMap<&String, f64> = HashMap::new();
    values.for_each(|(name, value)| *sums.entry(name).or_default() += value);
    // The order of the map, each name once.
    let mut seen = HashSet::new();
    let named: Vec<&String> =
        names.iter().filter(|name| sums.contains_key(name) && seen.insert(*name)).collect();
    let kept: Vec<String> =
        worst(&named, LINES_MAX, |name| sums[*name]).into_iter().map(|name| (*name).clone()).collect();
    let cut = kept.len() < named.len();
    (kept, cut)
}

/// White for nothing, dark blue for the most. `part` is from 0 to 1.
fn shade(part: f64) -> RGBColor {
    let mix = |light: f64, dark: f64| (light + (dark - light) * part).round() as u8;
    RGBColor(mix(255.0, 8.0), mix(255.0, 48.0), mix(255.0, 107.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_and_columns_with_anything_in_them_are_drawn_in_the_order_given() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let cells = [("c", "b", 5.0), ("a", "d", 1.0), ("b", "a", 0.0)];
        let cells = cells.iter().map(|(row, column, value)| (row.to_string(), column.to_string(), *value));
        let heat = Heat::new("t", "from", "to", "copies", &names, &names, cells);
        assert_eq!((heat.rows, heat.columns), (vec!["a".into(), "c".into()], vec!["b".into(), "d".into()]));
        assert_eq!(heat.cells, [(1, 0, 5.0), (0, 1, 1.0)]);
        assert_eq!(heat.title, "t");
    }

    #[test]
    fn too_many_rows_are_cut_to_the_busiest_and_the_title_says_so() {
        let names: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
        let cells = names.iter().zip(0..).map(|(name, value)| (name.clone(), "n0".into(), f64::from(value)));
        let heat = Heat::new("t", "from", "to", "copies", &names, &names, cells);
        assert_eq!((heat.rows.len(), heat.columns.len()), (LINES_MAX, 1));
        assert_eq!(heat.rows.last().map(String::as_str), Some("n199"));
        assert!(heat.title.contains("busiest"), "{}", heat.title);
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        let svg = Heat::new("t", "from", "to", "copies", &[], &[], std::iter::empty()).svg().unwrap();
        assert!(svg.contains("copies"));
    }
}
