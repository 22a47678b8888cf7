//! The Content-Type of an object, from the extension of its name alone (design section 5).  Pure.
//!
//! The bytes are never looked at, and what an uploader claims does not count: a file is the type that the web server
//! would serve it as.

use mime_guess::from_ext;

use super::FrontKind;
use crate::name::ObjectName;

/// The type of a name without a known extension; the `default_type` of common nginx configurations.
pub const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// Where the `mime.types` that nginx 1.22 comes with differs from the table of `mime_guess`, nginx is followed, so
/// that a file has one type whether nginx serves it from its disk or webdfs from another; above all
/// the images, which some clients treat by their older names.
const AS_NGINX: [(&str, &str); 17] = [
    ("bmp", "image/x-ms-bmp"),
    ("dll", "application/octet-stream"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("js", "application/javascript"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/x-m4a"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("pdb", "application/x-pilot"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("prc", "application/x-pilot"),
    ("ra", "audio/x-realaudio"),
    ("rpm", "application/x-redhat-package-manager"),
    ("sea", "application/x-sea"),
    ("ts", "video/mp2t"),
    ("woff", "font/woff"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
];

/// lighttpd makes the second of the first, whatever its configuration says (1.4.69, measured; RFC 9239 section 6
/// prefers the second).
const LIGHTTPD_SCRIPT: [&str; 2] = ["application/javascript", "text/javascript"];

/// The Content-Type of an object, as the web server in front sends it. Case does not matter. No `charset` is added to
/// text, as nginx adds none unless told to.
pub fn content_type(name: &ObjectName, front: FrontKind) -> &'static str {
    let known = by_extension(name);
    let [told, sent] = LIGHTTPD_SCRIPT;
    if front == FrontKind::Lighttpd && known == told { sent } else { known }
}

fn by_extension(name: &ObjectName) -> &'static str {
    let extension = name.extension().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let Some(extension) = extension else { return DEFAULT_CONTENT_TYPE };
    let as_nginx = AS_NGINX.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
    match as_nginx {
        Some((_, content_type)) => content_type,
        None => from_ext(extension).first_raw().unwrap_or(DEFAULT_CONTENT_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    fn type_of(name: &[u8]) -> &'static str {
        type_behind(FrontKind::Nginx, name)
    }

    fn type_behind(front: FrontKind, name: &[u8]) -> &'static str {
        content_type(&ObjectName::from_bytes(name).expect("a good name"), front)
    }

    #[test]
    fn every_type_that_nginx_knows_is_the_one_nginx_says() {
        // Pinned from the mime.types of Debian's nginx 1.22.1, all of it.
        let known = [
            ("text/html", "html htm shtml"),
            ("text/css", "css"),
            ("text/xml", "xml"),
            ("image/gif", "gif"),
            ("image/jpeg", "jpeg jpg"),
            ("application/javascript", "js"),
            ("application/atom+xml", "atom"),
            ("application/rss+xml", "rss"),
            ("text/mathml", "mml"),
            ("text/plain", "txt"),
            ("text/vnd.sun.j2me.app-descriptor", "jad"),
            ("text/vnd.wap.wml", "wml"),
            ("text/x-component", "htc"),
            ("image/avif", "avif"),
            ("image/png", "png"),
            ("image/svg+xml", "svg svgz"),
            ("image/tiff", "tif tiff"),
            ("image/vnd.wap.wbmp", "wbmp"),
            ("image/webp", "webp"),
            ("image/x-icon", "ico"),
            ("image/x-jng", "jng"),
            ("image/x-ms-bmp", "bmp"),
            ("font/woff", "woff"),
            ("font/woff2", "woff2"),
            ("application/java-archive", "jar war ear"),
            ("application/json", "json"),
            ("application/mac-binhex40", "hqx"),
            ("application/msword", "doc"),
            ("application/pdf", "pdf"),
            ("application/postscript", "ps eps ai"),
            ("application/rtf", "rtf"),
            ("application/vnd.apple.mpegurl", "m3u8"),
            ("application/vnd.google-earth.kml+xml", "kml"),
            ("application/vnd.google-earth.kmz", "kmz"),
            ("application/vnd.ms-excel", "xls"),
            ("application/vnd.ms-fontobject", "eot"),
            ("application/vnd.ms-powerpoint", "ppt"),
            ("application/vnd.oasis.opendocument.graphics", "odg"),
            ("application/vnd.oasis.opendocument.presentation", "odp"),
            ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
            ("application/vnd.oasis.opendocument.text", "odt"),
            ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
            ("application/vnd.wap.wmlc", "wmlc"),
            ("application/wasm", "wasm"),
            ("application/x-7z-compressed", "7z"),
            ("application/x-cocoa", "cco"),
            ("application/x-java-archive-diff", "jardiff"),
            ("application/x-java-jnlp-file", "jnlp"),
            ("application/x-makeself", "run"),
            ("application/x-perl", "pl pm"),
            ("application/x-pilot", "prc pdb"),
            ("application/x-rar-compressed", "rar"),
            ("application/x-redhat-package-manager", "rpm"),
            ("application/x-sea", "sea"),
            ("application/x-shockwave-flash", "swf"),
            ("application/x-stuffit", "sit"),
            ("application/x-tcl", "tcl tk"),
            ("application/x-x509-ca-cert", "der pem crt"),
            ("application/x-xpinstall", "xpi"),
            ("application/xhtml+xml", "xhtml"),
            ("application/xspf+xml", "xspf"),
            ("application/zip", "zip"),
            ("application/octet-stream", "bin exe dll deb dmg iso img msi msp msm"),
            ("audio/midi", "mid midi kar"),
            ("audio/mpeg", "mp3"),
            ("audio/ogg", "ogg"),
            ("audio/x-m4a", "m4a"),
            ("audio/x-realaudio", "ra"),
            ("video/3gpp", "3gpp 3gp"),
            ("video/mp2t", "ts"),
            ("video/mp4", "mp4"),
            ("video/mpeg", "mpeg mpg"),
            ("video/quicktime", "mov"),
            ("video/webm", "webm"),
            ("video/x-flv", "flv"),
            ("video/x-m4v", "m4v"),
            ("video/x-mng", "mng"),
            ("video/x-ms-asf", "asx asf"),
            ("video/x-ms-wmv", "wmv"),
            ("video/x-msvideo", "avi"),
        ];
        for (content_type, extensions) in known {
            for extension in extensions.split(' ') {
                assert_eq!(type_of(format!("a.{extension}").as_bytes()), content_type, "{extension}");
                assert_eq!(
                    type_of(format!("a.{}", extension.to_uppercase()).as_bytes()),
                    content_type,
                    "{extension}"
                );
            }
        }
    }

    #[test]
    fn images_that_nginx_does_not_know_have_their_own_types_too() {
        for (name, expected) in [
            (&b"a.heic"[..], "image/heic"),
            (b"a.heif", "image/heif"),
            (b"a.jxl", "image/jxl"),
            (b"a.apng", "image/apng"),
            (b"a.jpe", "image/jpeg"),
            (b"a.jfif", "image/jpeg"),
        ] {
            assert_eq!(type_of(name), expected);
        }
    }

    #[test]
    fn without_a_known_extension_an_object_is_just_bytes() {
        for name in
            [&b"cat"[..], b"cat.", b".jpg", b"a.jpg/b", b"cat.nosuchthing", b"cat.\xff\xfe", b"cat.jp g"]
        {
            assert_eq!(type_of(name), DEFAULT_CONTENT_TYPE, "{}", name.escape_ascii());
        }
    }

    /// `lighttpd/mimetypes.conf` as it should be: lighttpd has no table of its own.
    fn lighttpd_types() -> String {
        let known = mime_guess::get_extensions("*", "*").expect("all extensions");
        let extensions: BTreeSet<&str> =
            known.iter().copied().chain(AS_NGINX.map(|(extension, _)| extension)).collect();
        let mut text = String::from(LIGHTTPD_TYPES_HEAD);
        for extension in extensions {
            let content_type = type_behind(FrontKind::Lighttpd, format!("a.{extension}").as_bytes());
            if content_type != DEFAULT_CONTENT_TYPE {
                let _ = writeln!(text, "    \".{extension}\" => \"{content_type}\",");
            }
        }
        let _ = writeln!(text, "    \"\" => \"{DEFAULT_CONTENT_TYPE}\"\n)");
        text
    }

    const LIGHTTPD_TYPES_HEAD: &str = "\
# The types of files for lighttpd, the very ones that webdfs sends, so that a file has one type whichever node answers.
# Include it in place of Debian's `include_shell \"/usr/share/lighttpd/create-mime.conf.pl\"`, or after that: the list here
# takes the place of any other. Made from webdfs's own table; a type that you change here changes on this node only.
mimetype.use-xattr := \"disable\"
mimetype.assign := (
";

    #[test]
    fn the_types_shipped_for_lighttpd_are_those_that_webdfs_sends() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/lighttpd/mimetypes.conf");
        let expected = lighttpd_types();
        if std::env::var_os("WEBDFS_WRITE_TYPES").is_some() {
            std::fs::write(path, &expected).expect("mimetypes.conf is written");
        }
        let shipped = std::fs::read_to_string(path).expect("mimetypes.conf is there");
        assert!(shipped == expected, "{path} is out of date; WEBDFS_WRITE_TYPES=1 makes it anew");
    }
}
