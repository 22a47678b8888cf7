//! What the demo prints on: lines of plain text, with colours on a terminal that wants them, and the bar of the upload.

use std::env;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// How many lines stand in for the bar where there is no terminal.
const PROGRESS_LINES: usize = 4;

/// Where the demo tells its story.
pub struct Screen {
    out: Box<dyn Write + Send>,
    colours: bool,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A headline.
    Strong,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
}

impl Screen {
    /// Standard output; coloured if it is a terminal, unless `NO_COLOR` (<https://no-color.org>) or `TERM=dumb` say no.
    pub fn stdout() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|value| value == "dumb");
        let colours = io::stdout().is_terminal() && !refused && !dumb;
        Self { out: Box::new(io::stdout()), colours }
    }

    /// A line, sent at once.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", text.as_ref())?;
        self.out.flush()
    }

    /// `text` in the colour of `tone`, if there are colours.
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A table: columns as wide as their widest cell, two spaces between them. `right` names the columns that are flush
    /// right.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn table<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: &[[String; N]],
        right: &[usize],
    ) -> io::Result<()> {
        let head = head.map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let laid_out = |row: &[String; N]| {
            let cells = (0..N).map(|column| {
                let (cell, width) = (&row[column], widths[column]);
                if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        };
        let heading = self.tone(Tone::Strong, &laid_out(&head));
        self.line(heading)?;
        rows.iter().try_for_each(|row| self.line(laid_out(row)))
    }

    /// Follows `total` steps: a bar on standard error if that is a terminal, else now and then a line here.
    pub fn progress<'a>(&'a mut self, what: &'static str, total: usize) -> Progress<'a> {
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos} of {len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Progress { screen: self, bar, what, total, done: 0 }
    }
}

/// Steps done so far. Dropping it removes the bar.
pub struct Progress<'a> {
    screen: &'a mut Screen,
    bar: ProgressBar,
    what: &'static str,
    total: usize,
    done: usize,
}

impl Progress<'_> {
    /// One step more is done.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn step(&mut self) -> io::Result<()> {
        self.done += 1;
        self.bar.inc(1);
        let lines = |done: usize| done * PROGRESS_LINES / self.total;
        if self.bar.is_hidden() && lines(self.done) > lines(self.done - 1) {
            let line = format!("{}: {} of {}", self.what, self.done, self.total);
            return self.screen.line(line);
        }
        Ok(())
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number of things for people: `1 node`, `3 nodes`. `one` is a word whose plural ends in s, or in ies for a y.
pub fn count(number: usize, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}

/// A number of bytes for people: `17 B`, `3.2 KiB`.
pub fn size(bytes: usize) -> String {
    let units = ["KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in units {
        if value < 1024.0 {
            break;
        }
        (value, name) = (value / 1024.0, unit);
    }
    if name == "B" { format!("{bytes} B") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a screen of a test was told.
    #[derive(Clone, Default)]
    pub struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no test panicked").clone()).expect("text")
        }

        pub fn screen(&self, colours: bool) -> Screen {
            Screen { out: Box::new(self.clone()), colours }
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_table_is_aligned_by_characters_and_plain_without_colours() {
        let paper = Paper::default();
        let rows = [["Fähre".to_owned(), "9 B".to_owned()], ["a".to_owned(), "10 B".to_owned()]];
        paper.screen(false).table(["path", "size"], &rows, &[1]).expect("paper takes all");
        assert_eq!(paper.text(), "  path   size\n  Fähre   9 B\n  a      10 B\n");
    }

    #[test]
    fn colours_are_switched_on_and_off_again() {
        let paper = Paper::default();
        assert_eq!(paper.screen(true).tone(Tone::Good, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(paper.screen(false).tone(Tone::Bad, "no"), "no");
    }

    #[test]
    fn progress_without_a_terminal_is_a_few_lines() {
        let paper = Paper::default();
        let mut screen = paper.screen(false);
        let mut progress = screen.progress("storing", 10);
        // Not what this test's own standard error happens to be.
        progress.bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        for _ in 0..10 {
            progress.step().expect("paper takes all");
        }
        drop(progress);
        let wanted = [3, 5, 8, 10].map(|done| format!("storing: {done} of 10\n")).concat();
        assert_eq!(paper.text(), wanted);
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([count(1, "node"), count(3, "node")], ["1 node", "3 nodes"]);
        assert_eq!([count(1, "copy"), count(2, "copy")], ["1 copy", "2 copies"]);
    }

    #[test]
    fn sizes_are_for_people() {
        let shown = [0, 1023, 1024, 1536, 5 << 20, 3 << 30].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
    }
}
