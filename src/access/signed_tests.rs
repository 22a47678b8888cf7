//! What a signed URL lets in, and what it does not.

use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000;

fn key(id: &str) -> SigningKey {
    SigningKey::new(id, id.repeat(8).as_bytes()).unwrap()
}

fn grant(method: SignedMethod, path: &[u8]) -> Grant<'_> {
    Grant { method, path, expires: NOW + 60, max_size: None, from: None }
}

fn check(method: &str, path: &[u8], query: &str) -> Result<Verified, SignatureError> {
    checked(method, path, query.as_bytes(), None, NOW)
}

fn checked(
    method: &str,
    path: &[u8],
    query: &[u8],
    address: Option<&str>,
    now: u64,
) -> Result<Verified, SignatureError> {
    let address = address.map(|text| text.parse().unwrap());
    verify(&[key("old1"), key("new1")], &Presented { method, path, query, address, now })
}

fn query_of(url: &str) -> &str {
    url.split_once('?').unwrap().1
}

#[test]
fn a_signed_url_lets_in_for_its_method_and_path_under_any_of_the_keys() {
    for id in ["old1", "new1"] {
        let url = sign(&key(id), &grant(SignedMethod::Get, b"/a b/\xff.jpg")).unwrap();
        assert!(url.starts_with("/a%20b/%FF.jpg?webdfs-key="), "{url}");
        let good = Ok(Verified { key: id.to_owned(), max_size: None });
        for method in ["GET", "HEAD"] {
            assert_eq!(check(method, b"/a b/\xff.jpg", query_of(&url)), good, "{method}");
        }
        let wrong = Err(SignatureError::Wrong { key: id.to_owned() });
        assert_eq!(check("PUT", b"/a b/\xff.jpg", query_of(&url)), wrong);
        assert_eq!(check("GET", b"/a b/c.jpg", query_of(&url)), wrong);
        assert_eq!(check("DELETE", b"/a b/\xff.jpg", query_of(&url)), Err(SignatureError::Method));
    }
    let url = sign(&key("gone"), &grant(SignedMethod::Get, b"/a")).unwrap();
    assert_eq!(check("GET", b"/a", query_of(&url)), Err(SignatureError::UnknownKey));
}

#[test]
fn no_part_of_it_can_be_changed_added_or_taken_away() {
    let from = Some("10.0.0.0/8".parse().unwrap());
    let grant = Grant { max_size: Some(1000), from, ..grant(SignedMethod::Put, b"/a.jpg") };
    let url = sign(&key("new1"), &grant).unwrap();
    let query = query_of(&url).to_owned();
    let put = |query: &str| checked("PUT", b"/a.jpg", query.as_bytes(), Some("10.9.9.9"), NOW);
    assert_eq!(put(&query), Ok(Verified { key: "new1".to_owned(), max_size: Some(1000) }));
    assert_eq!(put(&format!("v=3&{query}&x")), put(&query), "other parameters do not matter");
    assert_eq!(put(&query.replace("10.0.0.0/8", "10.0.0.0%2F8")), put(&query));
    for (from, to) in [
        ("webdfs-key=new1", "webdfs-key=old1"),
        ("webdfs-key=new1", "webdfs-key="),
        ("webdfs-key=new1&", ""),
        ("expires=1700000060", "expires=1700000061"),
        ("expires=1700000060", "expires=01700000060"),
        ("webdfs-expires=1700000060&", ""),
        ("max-size=1000", "max-size=10000"),
        ("&webdfs-max-size=1000", ""),
        ("10.0.0.0/8", "0.0.0.0/0"),
        ("&webdfs-from=10.0.0.0/8", ""),
        ("&webdfs-from=10.0.0.0/8", "&webdfs-from="),
        ("&webdfs-max-size", "&webdfs-max-size=1&webdfs-max-size"),
        ("webdfs-signature=", "webdfs-signature=00"),
        ("webdfs-signature=", "webdfs-other="),
    ] {
        let changed = query.replacen(from, to, 1);
        assert_ne!(changed, query, "{from}");
        assert!(put(&changed).is_err(), "{changed}");
    }
    let (head, signature) = query.rsplit_once('=').unwrap();
    for at in 0..signature.len() {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        let changed = format!("{head}={}", String::from_utf8(bytes).unwrap());
        assert_eq!(put(&changed), Err(SignatureError::Wrong { key: "new1".to_owned() }), "{changed}");
    }
}

#[test]
fn a_signed_url_ends_and_may_be_for_some_addresses_alone() {
    let range = |text: &str| Some(text.parse().unwrap());
    let key = || "new1".to_owned();
    let from = range("fd00::/8");
    let url = sign(&self::key("new1"), &Grant { from, ..grant(SignedMethod::Get, b"/a/") }).unwrap();
    let get = |address, now| checked("GET", b"/a/", query_of(&url).as_bytes(), address, now);
    assert!(get(Some("fd00::1"), NOW + 59).is_ok());
    assert_eq!(get(Some("fd00::1"), NOW + 60), Err(SignatureError::Expired { key: key() }));
    for elsewhere in [None, Some("fe80::1"), Some("10.0.0.1")] {
        assert_eq!(get(elsewhere, NOW), Err(SignatureError::Elsewhere { key: key() }), "{elsewhere:?}");
    }
}

#[test]
fn only_the_path_of_a_file_or_folder_is_signed() {
    for path in [&b""[..], b"a", b"//", b"/a//b", b"/a/../b", b"/a\0", b"/.webdfs/x"] {
        assert!(sign(&key("new1"), &grant(SignedMethod::Get, path)).is_err(), "{}", path.escape_ascii());
    }
    for path in [&b"/"[..], b"/a/", b"/a/b"] {
        assert!(sign(&key("new1"), &grant(SignedMethod::Get, path)).is_ok(), "{}", path.escape_ascii());
    }
}

#[test]
fn a_key_is_read_back_and_never_shown_by_debug() {
    let key: SigningKey = "k-1.a_b:00112233445566778899aabbccddeeff".parse().unwrap();
    assert_eq!(key.to_text().parse(), Ok(key.clone()));
    assert!(!format!("{key:?}").contains("aabb"));
    for (text, error) in [
        ("", KeyError::Form),
        ("00112233445566778899aabbccddeeff", KeyError::Form),
        (":00112233445566778899aabbccddeeff", KeyError::Id),
        ("a&b:00112233445566778899aabbccddeeff", KeyError::Id),
        ("a:00112233445566778899aabbccddee", KeyError::Secret),
        ("a:zz112233445566778899aabbccddeeff", KeyError::Secret),
    ] {
        assert_eq!(text.parse::<SigningKey>(), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn no_query_panics_and_none_that_was_not_signed_lets_in(query in "[a-z=&%0-9-]{0,200}") {
        prop_assert!(check("GET", b"/a", &query).is_err());
    }
}
