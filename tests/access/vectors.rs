//! `golden/signed_urls.json` was made by a few lines of another language: whatever signs URLs for webdfs has to make the
//! same of the same. The key, method, path (decoded), end, largest size and addresses go in; `signed_text` is what the
//! signature is of, and `url` comes out.

use serde::Deserialize;
use webdfs::access::signed::{Grant, Presented, SignedMethod, SigningKey, sign, verify};
use webdfs::name::{Prefix, Target, query};

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    key: String,
    method: String,
    path: String,
    expires: u64,
    max_size: Option<u64>,
    from: Option<String>,
    signed_text: String,
    url: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../golden/signed_urls.json")).unwrap()
}

#[test]
fn every_url_is_signed_as_written_down() {
    assert!(vectors().len() > 10);
    for vector in vectors() {
        let key: SigningKey = vector.key.parse().unwrap();
        let method = if vector.method == "PUT" { SignedMethod::Put } else { SignedMethod::Get };
        let grant = Grant {
            method,
            path: vector.path.as_bytes(),
            expires: vector.expires,
            max_size: vector.max_size,
            from: vector.from.as_ref().map(|from| from.parse().unwrap()),
        };
        assert_eq!(sign(&key, &grant).unwrap(), vector.url, "{}", vector.name);
        assert_eq!(vector.signed_text.lines().next(), Some("webdfs-url-1"));
    }
}

#[test]
fn every_url_lets_in_until_its_end() {
    for vector in vectors() {
        let keys = [vector.key.parse().unwrap()];
        let Ok(target) = Target::parse(vector.url.as_bytes(), &Prefix::root()) else {
            panic!("{}", vector.name)
        };
        let path = target.url_path(&Prefix::root());
        assert_eq!(path, vector.path.as_bytes(), "{}", vector.name);
        let address = vector.from.as_ref().map(|from| from.split('/').next().unwrap().parse().unwrap());
        let presented = |now| Presented {
            method: &vector.method,
            path: &path,
            query: query(vector.url.as_bytes()).unwrap(),
            address,
            now,
        };
        let verified = verify(&keys, &presented(vector.expires - 1)).unwrap();
        assert_eq!(verified.max_size, vector.max_size, "{}", vector.name);
        assert!(verify(&keys, &presented(vector.expires)).is_err(), "{}", vector.name);
    }
}
