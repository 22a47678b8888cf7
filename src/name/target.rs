//! From the target of a request line to the object or folder it means.  Pure.
//!
//! The path is read as nginx 1.22 reads it (decode, merge slashes, resolve dot segments, in one pass over decoded
//! bytes, so that `%2e%2e` is a dot segment too), because the web server looks for the same file before webdfs does.
//! Where nginx would let an encoded slash through as a separator, the path is refused instead: Apache and lighttpd
//! read it differently. Request target forms: RFC 9112 section 3.2.

use super::{NameError, ObjectName, Prefix, check_length};

/// What the path of a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An object.
    Object(ObjectName),
    /// A path that ends in a slash or in a dot segment, or is the prefix itself.
    Folder(Folder),
}

impl Target {
    /// Reads a raw request target: a path with or without query (`/a/b.jpg?x`), or an absolute URL
    /// (`http://host/a/b.jpg`), whose scheme and host do not matter. Query and fragment are cut off; see [`query`].
    ///
    /// # Errors
    /// The first rule that the path breaks; [`NameError::OutsidePrefix`] when it is a fine path of somebody else.
    pub fn parse(request_target: &[u8], prefix: &Prefix) -> Result<Self, NameError> {
        let path = normalise(raw_path(request_target)?)?;
        let key = prefix.strip(&path).ok_or(NameError::OutsidePrefix)?;
        if key.is_empty() || key.ends_with(b"/") {
            return Folder::from_key(key).map(Self::Folder);
        }
        ObjectName::from_bytes(key).map(Self::Object)
    }
}

impl Target {
    /// Its absolute URL path, decoded.
    pub fn url_path(&self, prefix: &Prefix) -> Vec<u8> {
        let key = match self {
            Target::Object(name) => name.as_bytes(),
            Target::Folder(folder) => folder.as_bytes(),
        };
        [prefix.as_bytes(), key].concat()
    }
}

/// A folder below the prefix: nothing by itself, but it makes names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Empty for the folder that the prefix names, else the segments, each followed by a slash; without that last
    /// slash it is a good [`ObjectName`].
    key: Vec<u8>,
}

impl Folder {
    /// The name of a file in this folder, `file_name` being one segment in decoded bytes.
    ///
    /// # Errors
    /// `file_name` contains a slash, or does not make a good name.
    pub fn join(&self, file_name: &[u8]) -> Result<ObjectName, NameError> {
        if file_name.contains(&b'/') {
            return Err(NameError::SlashInFileName);
        }
        check_length(file_name.len())?;
        ObjectName::from_bytes(&[&self.key, file_name].concat())
    }

    /// The key of the folder: empty, or segments that each end in a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.key
    }

    fn from_key(key: &[u8]) -> Result<Self, NameError> {
        if let Some(name) = key.strip_suffix(b"/") {
            ObjectName::from_bytes(name)?;
        }
        Ok(Self { key: key.to_vec() })
    }
}

/// The query of a request target, raw, without its question mark; `None` if there is no question mark.
pub fn query(request_target: &[u8]) -> Option<&[u8]> {
    let end = request_target.iter().position(|&byte| byte == b'#').unwrap_or(request_target.len());
    let (target, _fragment) = request_target.split_at(end);
    let mark = target.iter().position(|&byte| byte == b'?')?;
    target.get(mark + 1..)
}

/// The path of a request target, still encoded. An absolute URL without a path means `/`.
fn raw_path(request_target: &[u8]) -> Result<&[u8], NameError> {
    let end =
        request_target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(request_target.len());
    let (target, _query) = request_target.split_at(end);
    if target.starts_with(b"/") {
        return Ok(target);
    }
    let colon = target.iter().position(|&byte| byte == b':').ok_or(NameError::NotAPath)?;
    let (scheme, rest) = target.split_at(colon);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let authority = rest.strip_prefix(b"://").filter(|_| is_scheme).ok_or(NameError::NotAPath)?;
    match authority.iter().position(|&byte| byte == b'/') {
        Some(0) => Err(NameError::NotAPath),
        Some(slash) => Ok(authority.split_at(slash).1),
        None if authority.is_empty() => Err(NameError::NotAPath),
        None => Ok(b"/"),
    }
}

/// Decodes a path and resolves it: slashes merged, no dot segments. Starts with a slash; ends in one if it is a folder.
fn normalise(raw: &[u8]) -> Result<Vec<u8>, NameError> {
    let decoded = decode(raw)?;
    // Where each segment taken so far begins in `path`, so that `..` can drop the last one.
    let mut starts = Vec::new();
    let mut path = vec![b'/'];
    let mut is_folder = true;
    for segment in decoded.split(|&byte| byte == b'/') {
        is_folder = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => path.truncate(starts.pop().ok_or(NameError::LeavesRoot)?),
            _ => {
                starts.push(path.len());
                path.extend_from_slice(segment);
                path.push(b'/');
            }
        }
    }
    if !is_folder {
        path.pop();
    }
    Ok(path)
}

/// Decodes percent escapes once.
fn decode(raw: &[u8]) -> Result<Vec<u8>, NameError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => match high << 4 | low {
                    b'/' => return Err(NameError::EncodedSlash),
                    byte => byte,
                },
                _ => return Err(NameError::BrokenEscape),
            },
            0x01..=0x20 | 0x7f => return Err(NameError::Unencoded(byte)),
            _ => byte,
        };
        if byte == 0 {
            return Err(NameError::Nul);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{NAME_BYTES_MAX, RESERVED_SEGMENT};

    /// The key as text; a folder ends in a slash.
    fn key(target: &[u8], prefix: &str) -> Result<Vec<u8>, NameError> {
        let prefix = prefix.parse().expect("a good prefix");
        Target::parse(target, &prefix).map(|target| match target {
            Target::Object(name) => name.as_bytes().to_vec(),
            Target::Folder(folder) if folder.as_bytes().is_empty() => b"/".to_vec(),
            Target::Folder(folder) => folder.as_bytes().to_vec(),
        })
    }

    #[test]
    fn paths_are_read_as_nginx_reads_them() {
        // Each pair is a request target and the $uri that nginx 1.22.1 makes of it, less the first slash.
        let cases: [(&[u8], &[u8]); 42] = [
            (b"/a%20b", b"a b"),
            (b"/a//b", b"a/b"),
            (b"///a", b"a"),
            (b"/a/./b", b"a/b"),
            (b"/a/../b", b"b"),
            (b"/a/%2e%2e/b", b"b"),
            (b"/a/%2E/b", b"a/b"),
            (b"/a/.%2e/b", b"b"),
            (b"/a/...", b"a/..."),
            (b"/a/..b", b"a/..b"),
            (b"/a/.b", b"a/.b"),
            (b"/a%25b", b"a%b"),
            (b"/a%2520", b"a%20"),
            (b"/a#f", b"a"),
            (b"/a?x#y", b"a"),
            (b"/a#f?x", b"a"),
            (b"/a%23b", b"a#b"),
            (b"/a%3fb?q", b"a?b"),
            (b"/a\\b", b"a\\b"),
            (b"/a%5cb", b"a\\b"),
            (b"/a/..\\b", b"a/..\\b"),
            (b"/a;x/..;/b", b"a;x/..;/b"),
            (b"/a+b", b"a+b"),
            (b"/a%0ab", b"a\nb"),
            (b"/a%7f", b"a\x7f"),
            (b"/caf\xe9", b"caf\xe9"),
            (b"/caf%C3%A9", b"caf\xc3\xa9"),
            (b"/a/..//b", b"b"),
            (b"/a//../b", b"b"),
            (b"/a/b//..//c", b"a/c"),
            (b"/a??b", b"a"),
            (b"/a?%2f%00%zz", b"a"),
            (b"http://h/a", b"a"),
            (b"HTTP://h:80/a/b?c", b"a/b"),
            (b"/a/", b"a/"),
            (b"/a/.", b"a/"),
            (b"/a/b/..", b"a/"),
            (b"/a/..", b"/"),
            (b"//", b"/"),
            (b"/%2e?x", b"/"),
            (b"http://h", b"/"),
            (b"http://h?q", b"/"),
        ];
        for (target, expected) in cases {
            let found = key(target, "/");
            assert_eq!(found.as_deref(), Ok(expected), "{}", target.escape_ascii());
        }
    }

    #[test]
    fn what_nginx_refuses_or_servers_disagree_on_is_refused() {
        let long = [b"/".as_slice(), &[b'a'; NAME_BYTES_MAX + 1]].concat();
        let cases: [(&[u8], NameError); 25] = [
            (b"/../a", NameError::LeavesRoot),
            (b"/a/../../b", NameError::LeavesRoot),
            (b"/%2e%2e", NameError::LeavesRoot),
            (b"/.%2E/.%2e/etc/passwd", NameError::LeavesRoot),
            (b"/a%2fb", NameError::EncodedSlash),
            (b"/a/..%2Fb", NameError::EncodedSlash),
            (b"/a%00", NameError::Nul),
            (b"/a\0", NameError::Nul),
            (b"/a%", NameError::BrokenEscape),
            (b"/a%2", NameError::BrokenEscape),
            (b"/a%zz", NameError::BrokenEscape),
            (b"/a%+1", NameError::BrokenEscape),
            (b"/a b", NameError::Unencoded(b' ')),
            (b"/a\x7f", NameError::Unencoded(0x7f)),
            (b"/.webdfs/node.toml", NameError::Reserved),
            (b"/.webdfs/", NameError::Reserved),
            (b"/x/../%2ewebdfs", NameError::Reserved),
            (&long, NameError::TooLong { length: NAME_BYTES_MAX + 1 }),
            (b"", NameError::NotAPath),
            (b"*", NameError::NotAPath),
            (b"a", NameError::NotAPath),
            (b"?/a", NameError::NotAPath),
            (b"http:///a", NameError::NotAPath),
            (b"http:/a", NameError::NotAPath),
            (b"1x://h/a", NameError::NotAPath),
        ];
        for (target, error) in cases {
            assert_eq!(key(target, "/"), Err(error), "{}", target.escape_ascii());
        }
    }

    #[test]
    fn the_prefix_is_cut_off_after_the_path_is_resolved() {
        type Case<'a> = (&'a [u8], Result<&'a [u8], NameError>);
        let cases: [Case; 9] = [
            (b"/images/cat.jpg", Ok(b"cat.jpg")),
            (b"//images//cat.jpg", Ok(b"cat.jpg")),
            (b"/x/../%69mages/cat.jpg", Ok(b"cat.jpg")),
            (b"/images/", Ok(b"/")),
            (b"/images/a/..", Ok(b"/")),
            (b"/images", Err(NameError::OutsidePrefix)),
            (b"/images/../cat.jpg", Err(NameError::OutsidePrefix)),
            (b"/imagesx/cat.jpg", Err(NameError::OutsidePrefix)),
            (b"/images/.webdfs/x", Err(NameError::Reserved)),
        ];
        for (target, expected) in cases {
            let found = key(target, "/images");
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{}", target.escape_ascii());
        }
    }

    #[test]
    fn a_folder_makes_names_of_single_file_names_only() {
        let folder = |target: &[u8]| match Target::parse(target, &Prefix::root()) {
            Ok(Target::Folder(folder)) => folder,
            other => panic!("no folder: {other:?}"),
        };
        let joined =
            |target: &[u8], file: &[u8]| folder(target).join(file).map(|name| name.as_bytes().to_vec());
        assert_eq!(joined(b"/", b"index.html"), Ok(b"index.html".to_vec()));
        assert_eq!(joined(b"/a/b/", b"c d.jpg"), Ok(b"a/b/c d.jpg".to_vec()));
        assert_eq!(joined(b"/a/", b"b/c"), Err(NameError::SlashInFileName));
        assert_eq!(joined(b"/a/", b".."), Err(NameError::DotSegment));
        assert_eq!(joined(b"/a/", b""), Err(NameError::Empty));
        assert_eq!(joined(b"/", RESERVED_SEGMENT), Err(NameError::Reserved));
        assert_eq!(
            joined(b"/a/", &[b'x'; NAME_BYTES_MAX]),
            Err(NameError::TooLong { length: NAME_BYTES_MAX + 2 })
        );
    }

    #[test]
    fn the_query_is_what_stands_between_the_question_mark_and_the_fragment() {
        let cases: [(&[u8], Option<&[u8]>); 6] = [
            (b"/a?x=1&y#z", Some(b"x=1&y")),
            (b"/a?", Some(b"")),
            (b"/a??b", Some(b"?b")),
            (b"/a%3fb", None),
            (b"/a#f?x", None),
            (b"", None),
        ];
        for (target, expected) in cases {
            assert_eq!(query(target), expected, "{}", target.escape_ascii());
        }
    }
}
