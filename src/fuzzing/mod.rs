//! What the fuzz targets call: each function takes any bytes, feeds them to one reader of bytes from outside, and
//! panics when an invariant of that reader does not hold.  Pure.
//!
//! `fuzz/fuzz_targets/NAME.rs` and `tests/fuzz_smoke.rs` both run them. A new target needs its function, a line in
//! [`TARGETS`], a file and an entry in `fuzz/`, and seeds in `fuzz/seeds/NAME/`.

mod map;

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use crate::cluster::crush::{CrushMap, CrushSpec, WEIGHT_ONE, parse_text, print_text};
pub use crate::front::fastcgi::conn::fuzz::fuzz_records;
pub use crate::front::fastcgi::pairs::fuzz_pairs;
pub use crate::import::original::fuzz_php_config;
use crate::name::{Exclude, NAME_BYTES_MAX, NameError, ObjectName, Prefix, Target, query};
use crate::placement::crush;
use crate::semantics::{FrontKind, Multipart, RANGES_MAX, Selection, Validators, content_type, select};
use crate::version::Version;
pub use map::{fuzz_map, fuzz_map_spec};

/// A function that panics when some bytes break an invariant.
pub type FuzzTarget = fn(&[u8]);

/// Every target, by the name of its file in `fuzz/fuzz_targets/` and of its folder in `fuzz/seeds/`.
pub const TARGETS: &[(&str, FuzzTarget)] = &[
    ("target_to_name", fuzz_target_to_name),
    ("range_header", fuzz_range_header),
    ("records", fuzz_records),
    ("pairs", fuzz_pairs),
    ("map", fuzz_map),
    ("map_spec", fuzz_map_spec),
    ("crush_text", fuzz_crush_text),
    ("php_config", fuzz_php_config),
];

/// The target of a request line, read below several prefixes.
pub fn fuzz_target_to_name(data: &[u8]) {
    if let Some(query) = query(data) {
        assert!(
            query.len() < data.len() && !query.contains(&b'#'),
            "a query is part of its target, without fragment"
        );
    }
    for prefix in ["/", "/images/", "/a/b"] {
        let prefix: Prefix = prefix.parse().expect("a good prefix");
        match Target::parse(data, &prefix) {
            Ok(Target::Object(name)) => check_name(&name, &prefix),
            Ok(Target::Folder(folder)) => match folder.join(b"index.html") {
                Ok(name) => check_name(&name, &prefix),
                Err(error) => {
                    assert!(matches!(error, NameError::TooLong { .. }), "a folder takes any file: {error}")
                }
            },
            Err(error) => assert!(error.status().is_client_error(), "{error} is the client's fault"),
        }
    }
}

/// A good name stays inside the root, and its URL leads back to it.
fn check_name(name: &ObjectName, prefix: &Prefix) {
    let bytes = name.as_bytes();
    assert!((1..=NAME_BYTES_MAX).contains(&bytes.len()), "{name:?} has a length that is allowed");
    assert!(!bytes.contains(&0), "{name:?} has no NUL");
    assert!(
        !name.segments().any(|segment| matches!(segment, b"" | b"." | b"..")),
        "{name:?} stays inside the root"
    );
    assert_ne!(name.segments().next(), Some(&b".webdfs"[..]), "{name:?} is not the bookkeeping");
    let again = Target::parse(prefix.url_path(name).as_bytes(), prefix);
    assert_eq!(again, Ok(Target::Object(name.clone())), "the URL of a name leads back to it");
    assert!(!content_type(name, FrontKind::Plain).is_empty(), "{name:?} has a type");
    let is_hidden = name.segments().any(|segment| segment.starts_with(b"."));
    assert!(!is_hidden || Exclude::default().matches(name), "{name:?} is a dotfile and excluded");
}

/// A file size in the first eight bytes (fewer count as they are), then a Range header, and after a line break an
/// If-Range header.
pub fn fuzz_range_header(data: &[u8]) {
    let (size, lines) = data.split_at(data.len().min(8));
    let size = size.iter().fold(0, |size, &byte| size << 8 | u64::from(byte));
    let mut headers = HeaderMap::new();
    for (field, line) in [RANGE, IF_RANGE].into_iter().zip(lines.splitn(2, |&byte| byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(field, value);
        }
    }
    let file = Validators { version: Version::from_mtime(1_700_000_000, 0), size, front: FrontKind::Nginx };
    assert_eq!(select(&Method::HEAD, &headers, &file), Selection::Whole, "HEAD has no ranges");
    let Selection::Ranges(ranges) = select(&Method::GET, &headers, &file) else { return };

    assert!((1..=RANGES_MAX).contains(&ranges.len()), "{} ranges are allowed", ranges.len());
    let mut total: u64 = 0;
    for range in &ranges {
        assert!(range.length() > 0, "{range:?} is not empty");
        let end = range.offset().checked_add(range.length());
        assert!(end.is_some_and(|end| end <= size), "{range:?} lies within {size} bytes");
        total += range.length();
    }
    assert!(total <= size, "{total} bytes are no more than the file has");
    let multipart = Multipart::new(&ranges, size, "image/jpeg", size);
    let heads: usize = multipart.parts().iter().map(|(head, _)| head.len()).sum();
    let frame = heads as u64 + multipart.tail().len() as u64;
    assert_eq!(multipart.content_length(), total.saturating_add(frame), "the length is that of all parts");
}

/// A CRUSH map that is printed is read as it was.
fn check_printed(mut spec: CrushSpec) {
    let printed = print_text(&spec);
    let mut again = parse_text(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}")).spec;
    // Copies for a class stand where the first rule that takes them does.
    for spec in [&mut spec, &mut again] {
        spec.buckets.sort_by_key(|bucket| bucket.id);
    }
    assert_eq!(again, spec, "{printed}");
}

/// A CRUSH map as text: it is refused with a line, or no lookup by any of its rules finds what it does not have, and no
/// cluster map made with it places two replicas together.
pub fn fuzz_crush_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let map = match CrushMap::from_text(&text) {
        Ok(map) => map,
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!((1..=lines).contains(&error.line), "{error} is within the {lines} lines of the text");
            return;
        }
    };
    if let Ok(text_map) = parse_text(&text) {
        map::check_crush_owners(&text_map);
        check_printed(text_map.spec);
    }
    let devices = map.devices().last().map_or(0, |device| device.id() as usize + 1);
    let (all_in, mut some_out) = (vec![WEIGHT_ONE; devices], vec![WEIGHT_ONE; devices]);
    some_out.iter_mut().step_by(2).for_each(|weight| *weight = WEIGHT_ONE / 2);
    for rule in map.rules() {
        let reachable = map.reachable(rule);
        assert!(reachable.iter().all(|device| map.device(*device).is_some()), "{rule:?} reaches devices");
        let domains = map.domains(rule, rule.domain_type());
        let typed = |item: &i32| map.ancestor_of_type(*item, rule.domain_type()) == Some(*item);
        assert!(domains.iter().all(typed), "{rule:?} has domains of its type");
        for (x, reweight) in [(0, &all_in), (1, &some_out), (u32::MAX, &some_out)] {
            let found = crush::run(&map, rule, x, 3, reweight, &mut ());
            assert!(found.len() <= 3, "{rule:?} finds {found:?}");
            let is_known = |item: &i32| *item == crush::HOLE || map.type_of(*item).is_some();
            assert!(found.iter().all(is_known), "{rule:?} finds {found:?}");
        }
    }
}
