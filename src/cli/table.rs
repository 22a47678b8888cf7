//! Tables, as text that reads as Markdown.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// Rows below a head; the columns `left` are flush left, and the others right.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    left: &[usize],
) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head);
    table.add_rows(rows);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if left.contains(&number) {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_read_as_markdown_with_numbers_flush_right() {
        let text = table(
            ["node", "copies"],
            [["a".into(), "5".into()], ["bb".into(), "4321".into()]].into_iter(),
            &[0],
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["| node | copies |", "|------|--------|", "| a    |      5 |", "| bb   |   4321 |"]
        );
    }
}
