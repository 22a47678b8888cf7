use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::scene::{KEY, complaint, said, webdfs};

/// A folder with a node.toml of that text.
fn folder(access: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    fs::write(&path, format!("name = \"img1\"\nroot = \"root\"\n{access}\n")).unwrap();
    let config = path.to_str().unwrap().to_owned();
    (folder, config)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash() {
    let (folder, config) = folder("");
    let file = folder.path().join("tokens.toml");
    let new = ["token", "new", "--config", &config, "--name"];
    let token = said(&webdfs(&[&new[..], &["ann"]].concat()));
    assert!(token.starts_with("wdfs_") && token.len() == 69, "{token}");
    assert_eq!(mode(&file), 0o600);
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let more = [
        "bob",
        "--prefix",
        "/a \"b\"",
        "--methods",
        "GET,LIST",
        "--expires",
        "2030-01-01T00:00:00Z",
        "--json",
    ];
    let bob: Value = serde_json::from_str(&said(&webdfs(&[&new[..], &more].concat()))).unwrap();
    assert!(bob["token"].as_str().unwrap().starts_with("wdfs_"), "{bob}");
    assert_eq!(mode(&file), 0o640, "the mode is kept");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("wdfs_"), "{text}");
    let taken = complaint(&webdfs(&[&new[..], &["ann"]].concat()));
    assert!(taken.contains("there is a token ann already"), "{taken}");

    let list = said(&webdfs(&["token", "list", "--config", &config]));
    assert!(list.contains("| ann   | /       | PUT      | never"), "{list}");
    let list = said(&webdfs(&["token", "list", "--config", &config, "--json"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[1]["name"], &list[1]["prefix"]), (&"bob".into(), &"/a \"b\"/".into()));
    assert_eq!((&list[1]["expires"], &list[1]["expired"]), (&"2030-01-01T00:00:00Z".into(), &false.into()));
    assert!(list[0].get("token").is_none() && list[0].get("hash").is_none(), "{list}");

    fs::write(&file, format!("# mine\n{text}")).unwrap();
    said(&webdfs(&["token", "revoke", "ann", "--config", &config]));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# mine\n") && text.contains("bob") && !text.contains("ann"), "{text}");
    assert_eq!(mode(&file), 0o640);
    let missing = complaint(&webdfs(&["token", "revoke", "ann", "--config", &config]));
    assert!(missing.contains("there is no token ann"), "{missing}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
}

#[test]
fn what_makes_no_token_is_refused_with_what_would() {
    let (folder, config) = folder("");
    let new = |more: &[&str]| webdfs(&[&["token", "new", "--config", &config][..], more].concat());
    for (more, says) in [
        (&["--name", "a b"][..], "a token's name is"),
        (&["--name", "a", "--methods", "POST"], "use any of GET, PUT"),
        (&["--name", "a", "--prefix", "a/"], "must start with a slash"),
    ] {
        let output = new(more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(says), "{error}");
    }
    let error = complaint(&new(&["--name", "a", "--expires", "soon"]));
    assert!(error.contains("--expires soon: use a span of time"), "{error}");
    assert!(!folder.path().join("tokens.toml").exists());
    fs::write(folder.path().join("tokens.toml"), "").unwrap();
    fs::set_permissions(folder.path().join("tokens.toml"), PermissionsExt::from_mode(0o666)).unwrap();
    let error = complaint(&new(&["--name", "a"]));
    assert!(error.contains("has mode 0666") && error.contains("chmod 640"), "{error}");
    let (_folder, config) = self::folder("[access]\ntokens = \"root/tokens.toml\"");
    let error = complaint(&webdfs(&["token", "list", "--config", &config]));
    assert!(error.contains("node.toml:4: [access] tokens") && error.contains("lies inside"), "{error}");
    let (_folder, config) = self::folder("[access]\ntokens = \"\"");
    let error = complaint(&webdfs(&["token", "list", "--config", &config]));
    assert!(error.contains("there are no tokens"), "{error}");
}

#[test]
fn a_key_is_made_and_signs() {
    let (folder, config) = folder("[access]\nsign_keys = [\"sign.key\"]");
    let file = folder.path().join("sign.key");
    let none = complaint(&webdfs(&["sign", "--config", &config, "/a.jpg"]));
    assert!(none.contains("webdfs sign --new-key"), "{none}");
    let (first, second) = (said(&webdfs(&["sign", "--new-key"])), said(&webdfs(&["sign", "--new-key"])));
    assert_ne!(first, second);
    assert!(said(&webdfs(&["sign", "--new-key", "--id", "site2"])).starts_with("site2:"));
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let exposed = complaint(&webdfs(&["sign", "--config", &config, "/a.jpg"]));
    assert!(exposed.contains("has mode 0644") && !exposed.contains("0001"), "{exposed}");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let url =
        said(&webdfs(&["sign", "--config", &config, "--expires", "2030-01-01T00:00:00Z", "/a%20b.jpg"]));
    assert!(
        url.starts_with("/a%20b.jpg?webdfs-key=site1&webdfs-expires=1893456000&webdfs-signature="),
        "{url}"
    );
    let json =
        webdfs(&["sign", "--config", &config, "--expires", "2030-01-01T00:00:00Z", "--json", "/a%20b.jpg"]);
    let json: Value = serde_json::from_str(&said(&json)).unwrap();
    assert_eq!((&json["url"], &json["expires"]), (&url.into(), &"2030-01-01T00:00:00Z".into()));
    let refused = complaint(&webdfs(&["sign", "--config", &config, "--max-size", "5MiB", "/a.jpg"]));
    assert!(refused.contains("add --method PUT"), "{refused}");
    let refused = complaint(&webdfs(&["sign", "--config", &config, "/../a.jpg"]));
    assert!(refused.contains("/../a.jpg: the path leads out of the root"), "{refused}");
}

#[test]
fn what_cannot_be_private_is_refused() {
    for (access, says) in [
        ("prefix = \"/img\"\n[access]\nprivate = [\"/members/\"]", "lies outside of the prefix /img/"),
        ("[access]\nprivate = [\"members\"]", "must start with a slash"),
        (
            "layout = \"webdfs_hashed\"\nphp = \"5.2\"\n[access]\nprivate = [\"/m/\"]",
            "other names lead to the same",
        ),
        ("[access]\nusers = [{ name = \"ann\" }]", "[access] users methods: is missing"),
        ("[access]\nusers = [{ methods = [\"PUT\"] }]", "[access] users name: is missing"),
        ("[limits]\nuploads = -1", "use a whole number from 0"),
        ("[limits]\nbytes_per_second = \"fast\"", "a size is a whole number"),
    ] {
        let (folder, config) = folder(access);
        let secret = folder.path().join("secret");
        fs::write(&secret, "a secret for tests, and no other").unwrap();
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let error = complaint(&webdfs(&["check", "--config", &config]));
        assert!(error.contains("node.toml:") && error.contains(says), "{error}");
    }
}
