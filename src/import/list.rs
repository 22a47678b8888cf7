//! A list of files: lines of `/name<TAB>ORIGIN`, or of an origin alone. An origin is an `http://` URL, or a path of this
//! machine, relative to where the command runs. A name is written as in a URL. A line without its end is not taken: it may
//! be half of one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::source::{Found, Item, Origin};
use super::summary::Failed;
use crate::name::{NameError, ObjectName};

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// What is made of a line.
type Meaning = fn(&[u8]) -> Result<Item, String>;

pub(super) fn read_file(file: &Path, found: &mut dyn FnMut(Found) -> bool) {
    read_file_as(item, file, found);
}

/// The same for a file whose lines mean something else.
pub(super) fn read_file_as(meaning: Meaning, file: &Path, found: &mut dyn FnMut(Found) -> bool) {
    let name = file.display().to_string();
    match File::open(file) {
        Ok(file) => read(meaning, BufReader::new(file), &name, found),
        Err(error) => drop(found(Err(Failed::new(name, format!("cannot be read: {error}"))))),
    }
}

pub(super) fn read_input(found: &mut dyn FnMut(Found) -> bool) {
    read(item, io::stdin().lock(), "standard input", found);
}

fn read(meaning: Meaning, mut list: impl BufRead, of: &str, found: &mut dyn FnMut(Found) -> bool) {
    let mut line = Vec::new();
    for number in 1u64.. {
        let refuse = |why: String| Err(Failed::new(format!("{of}:{number}"), why));
        line.clear();
        let one = match list.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.last() == Some(&b'\n') => match &line[..line.len() - 1] {
                b"" => continue,
                whole => meaning(whole.strip_suffix(b"\r").unwrap_or(whole)).or_else(refuse),
            },
            Ok(_) if line.len() > LINE_BYTES_MAX => {
                if let Err(error) = skip_line(&mut list) {
                    found(refuse(format!("cannot be read: {error}")));
                    return;
                }
                refuse(format!("the line is longer than {LINE_BYTES_MAX} bytes"))
            }
            Ok(_) => refuse(
                "the list ends within this line, so it may be cut off; if it is whole, end its last line with a newline".to_owned(),
            ),
            Err(error) => {
                found(refuse(format!("cannot be read: {error}")));
                return;
            }
        };
        if !found(one) {
            return;
        }
    }
}

/// Reads up to the end of a line that is too long.
fn skip_line(list: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = list.fill_buf()?;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let (length, is_over) = (end.map_or(piece.len(), |end| end + 1), end.is_some() || piece.is_empty());
        list.consume(length);
        if is_over {
            return Ok(());
        }
    }
}

/// What a line says.
fn item(line: &[u8]) -> Result<Item, String> {
    let (name, origin) = match line.iter().position(|byte| *byte == b'\t') {
        Some(tab) => (Some(&line[..tab]), &line[tab + 1..]),
        None => (None, line),
    };
    if origin.is_empty() || origin.contains(&b'\t') || origin.contains(&0) {
        return Err(
            "the line is neither /name<TAB>ORIGIN nor an origin alone (a path or an http:// URL)".to_owned()
        );
    }
    let origin = match scheme(origin) {
        Some(b"http") => {
            Origin::Url(String::from_utf8(origin.to_vec()).map_err(|_| "the URL is no ASCII".to_owned())?)
        }
        Some(scheme) => {
            return Err(format!("{}: URLs are not fetched, only http:// ones", scheme.escape_ascii()));
        }
        None => Origin::File { path: PathBuf::from(OsStr::from_bytes(origin)), follow: true },
    };
    let name = match (name, &origin) {
        (Some(name), _) => decoded(name.strip_prefix(b"/").ok_or("a name begins with a slash")?),
        (None, Origin::Url(url)) => decoded(path_of(url)),
        (None, Origin::File { path, .. }) => {
            let path = path.as_os_str().as_bytes();
            let path = path.strip_prefix(b"./").unwrap_or(path);
            ObjectName::from_bytes(path.strip_prefix(b"/").unwrap_or(path))
        }
        (None, Origin::Key(_)) => unreachable!("a list has no keys"),
    };
    Ok(Item { name: name.map_err(|error| error.to_string())?, origin })
}

fn scheme(origin: &[u8]) -> Option<&[u8]> {
    let colon = origin.windows(3).position(|three| three == b"://")?;
    origin.get(..colon).filter(|scheme| !scheme.is_empty() && scheme.iter().all(u8::is_ascii_alphanumeric))
}

/// The path of a URL, without its first slash, its query and its fragment.
fn path_of(url: &str) -> &[u8] {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    path.split(['?', '#']).next().unwrap_or_default().as_bytes()
}

/// The name that is written so in a URL.
fn decoded(path: &[u8]) -> Result<ObjectName, NameError> {
    let broken =
        |at: usize| !path.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if (0..path.len()).any(|at| path[at] == b'%' && broken(at)) {
        return Err(NameError::BrokenEscape);
    }
    if path.windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
        return Err(NameError::EncodedSlash);
    }
    ObjectName::from_bytes(&percent_encoding::percent_decode(path).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(list: &[u8]) -> Vec<Result<(String, String), String>> {
        let mut found = Vec::new();
        read(item, list, "l", &mut |one: Found| {
            found.push(match one {
                Ok(item) => Ok((
                    item.name.url_path(),
                    match item.origin {
                        Origin::File { path, .. } => path.display().to_string(),
                        Origin::Url(url) => url,
                        Origin::Key(_) => unreachable!(),
                    },
                )),
                Err(failed) => Err(format!("{}: {}", failed.what, failed.why)),
            });
            true
        });
        found
    }

    #[test]
    fn a_line_is_a_name_and_an_origin_or_an_origin_alone() {
        let list = b"/a%20b/c.jpg\thttp://h/x?y=1\nhttp://h:81/p/q%25.jpg?z#f\n./p q.jpg\r\n/abs/x%41.jpg\n\n/n\t/f\n";
        let expected = [
            ("a%20b/c.jpg", "http://h/x?y=1"),
            ("p/q%25.jpg", "http://h:81/p/q%25.jpg?z#f"),
            ("p%20q.jpg", "./p q.jpg"),
            ("abs/x%2541.jpg", "/abs/x%41.jpg"),
            ("n", "/f"),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(name, origin)| Ok((name.to_owned(), origin.to_owned()))).collect();
        assert_eq!(all(list), expected);
    }

    #[test]
    fn a_line_that_is_wrong_is_named_and_the_others_are_taken() {
        let long = [b"/x\t".to_vec(), vec![b'y'; LINE_BYTES_MAX + 1]].concat();
        let list = [
            b"a\tb\n/a\t\n/a\tb\tc\n/../x\ty\nhttps://h/x\n/%2F\tx\n/%4\tx\n/.webdfs/x\ty\n/n\0\tx\nhttp://h\n".to_vec(),
            long,
            b"\n/good\tfile\n/cut\tfi".to_vec(),
        ];
        let found = all(&list.concat());
        let expected = [
            "l:1: a name begins with a slash",
            "l:2: the line is neither",
            "l:3: the line is neither",
            "l:4: the name has a segment",
            "l:5: https: URLs are not fetched",
            "l:6: the path contains an encoded slash",
            "l:7: the path contains a percent sign",
            "l:8: names under `.webdfs/` are reserved",
            "l:9: the name contains a NUL",
            "l:10: the name is empty",
            "l:11: the line is longer",
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.as_ref().unwrap_err().starts_with(expected), "{found:?}, not {expected}");
        }
        assert_eq!(found[11], Ok(("good".to_owned(), "file".to_owned())));
        assert!(
            found[12].as_ref().unwrap_err().starts_with("l:13: the list ends within this line"),
            "{found:?}"
        );
        assert_eq!(found.len(), 13);
    }
}
