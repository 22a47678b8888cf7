//! Every method, known or not (RFC 9110 section 9; COPY and MOVE: RFC 4918 sections 9.8 and 9.9).

use super::case::{
    A, Case, Want, answer, bare, case, created, head_of, missing, of_a, replaced, stored, whole,
};
use super::facts::{APACHE_HEAD_EMPTY, ASTERISK, FCGID_TRACE, LIGHTTPD_METHODS, NGINX_ASTERISK};
use crate::common::noise;

/// What there is, as OPTIONS and every 405 say (RFC 9110 section 10.2.1).
pub const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";

pub fn cases() -> Vec<Case> {
    [reading(), writing(), forms(), copying(), others()].concat()
}

fn reading() -> Vec<Case> {
    let jpeg = |expected: super::case::Expected| expected.with("Content-Type", Want::Is("image/jpeg"));
    vec![
        of_a("GET sends what was stored", "GET").expect(jpeg(whole(stored()))),
        case("GET of what is missing is 404", "GET", A).expect(missing()),
        of_a("HEAD says what GET would", "HEAD").expect(jpeg(head_of(stored()))),
        case("HEAD of what is missing is 404 without a body", "HEAD", A)
            .expect(bare(404).with("ETag", Want::Absent)),
        case("GET of a large file sends all of it", "GET", A)
            .stored(A, noise(6, 700_000))
            .expect(jpeg(whole(noise(6, 700_000)))),
        case("HEAD of a large file says its length", "HEAD", A)
            .stored(A, noise(6, 700_000))
            .expect(jpeg(head_of(noise(6, 700_000)))),
        case("GET of a file without bytes is 200", "GET", A).stored(A, "").expect(jpeg(whole(Vec::new()))),
        case("HEAD of a file without bytes is 200", "HEAD", A)
            .stored(A, "")
            .expect(jpeg(head_of(Vec::new())))
            .except(&APACHE_HEAD_EMPTY, bare(200).with("Content-Length", Want::Absent)),
    ]
}

fn writing() -> Vec<Case> {
    let not_allowed = || answer(405).with("Allow", Want::Is(ALLOW));
    vec![
        case("PUT of a new name is 201", "PUT", A).body("new").expect(created()).then(A, "new"),
        of_a("PUT in the place of another is 204", "PUT").body("other").expect(replaced()).then(A, "other"),
        of_a("PUT of as many other bytes changes the ETag", "PUT")
            .body(noise(7, 1000))
            .expect(replaced())
            .then(A, noise(7, 1000)),
        case("PUT of a folder is 405", "PUT", "{}/x/").body("x").expect(not_allowed()),
        of_a("PUT with Content-Range is refused, for it would replace the whole by a part", "PUT")
            .header("Content-Range", "bytes 0-1/1000")
            .body("xx")
            .expect(answer(400)),
        of_a("DELETE is 204, and the name is gone", "DELETE").expect(bare(204)).then_missing(A),
        case("DELETE of what is missing is 404", "DELETE", A).expect(missing()),
        case("DELETE of a folder is 405", "DELETE", "{}/").stored(A, "a").expect(not_allowed()),
        of_a("DELETE with a body deletes", "DELETE").body("why").expect(bare(204)).then_missing(A),
    ]
}

fn forms() -> Vec<Case> {
    let post = |name| case(name, "POST", "{}/");
    let listing = |status, lines: &str| {
        answer(status)
            .with("Content-Type", Want::Is("application/json"))
            .text(&format!("{{\"files\":[{lines}]}}\n"))
    };
    vec![
        post("a form stores its file below the folder")
            .form(&[("name=\"f\"; filename=\"a.jpg\"", b"one")])
            .expect(listing(201, "{\"path\":\"{}/a.jpg\",\"status\":201}"))
            .then(A, "one"),
        post("a form stores several files, and fields that are none are left out")
            .form(&[
                ("name=\"title\"", b"cats"),
                ("name=\"f\"; filename=\"a.jpg\"", b"one"),
                ("name=\"f\"; filename=\"two two.jpg\"", b"two"),
            ])
            .expect(listing(
                201,
                "{\"path\":\"{}/a.jpg\",\"status\":201},{\"path\":\"{}/two%20two.jpg\",\"status\":201}",
            ))
            .then(A, "one")
            .then("{}/two%20two.jpg", "two"),
        post("a form replaces a file of the same name")
            .stored(A, "old")
            .form(&[("name=\"f\"; filename=\"a.jpg\"", b"new")])
            .expect(listing(201, "{\"path\":\"{}/a.jpg\",\"status\":204}"))
            .then(A, "new"),
        post("of a path in a form's file name only the last part counts")
            .form(&[("name=\"f\"; filename=\"../../../a.jpg\"", b"one")])
            .expect(listing(201, "{\"path\":\"{}/a.jpg\",\"status\":201}"))
            .then(A, "one"),
        post("a form stores a file of 200,000 bytes")
            .form(&[("name=\"f\"; filename=\"a.jpg\"", &noise(8, 200_000))])
            .expect(listing(201, "{\"path\":\"{}/a.jpg\",\"status\":201}"))
            .then(A, noise(8, 200_000)),
        post("a script in a form is refused, and the next file is stored")
            .form(&[("name=\"f\"; filename=\"a.php\"", b"<?"), ("name=\"f\"; filename=\"b.jpg\"", b"b")])
            .expect(answer(400).with("Content-Type", Want::Is("application/json")))
            .then("{}/b.jpg", "b"),
        post("a form without a file is 400").form(&[("name=\"title\"", b"cats")]).expect(answer(400)),
        post("what is no form is 415").header("Content-Type", "text/plain").body("x").expect(answer(415)),
        post("a form without a type is 415").body("x").expect(answer(415)),
        of_a("POST to a file is 405", "POST")
            .form(&[("name=\"f\"; filename=\"b.jpg\"", b"b")])
            .expect(answer(405).with("Allow", Want::Is(ALLOW))),
    ]
}

fn copying() -> Vec<Case> {
    const B: &str = "{}/b.jpg";
    let to = |name, method, destination: &str| of_a(name, method).header("Destination", destination);
    vec![
        to("COPY makes another object", "COPY", B).expect(created()).then(B, stored()),
        to("COPY onto another replaces it", "COPY", B).stored(B, "b").expect(answer(204)).then(B, stored()),
        to("COPY to an absolute URL means its path", "COPY", "http://{host}{}/b.jpg")
            .expect(created())
            .then(B, stored()),
        to("COPY decodes its Destination once", "COPY", "{}/b%2520c%20d.jpg")
            .expect(created())
            .then("{}/b%2520c%20d.jpg", stored()),
        to("COPY with Overwrite: F leaves what is there", "COPY", B)
            .header("Overwrite", "F")
            .stored(B, "b")
            .expect(answer(412)),
        to("COPY with Overwrite: F to a new name copies", "COPY", B)
            .header("Overwrite", "F")
            .expect(created())
            .then(B, stored()),
        to("COPY onto itself is 403", "COPY", A).expect(answer(403)),
        to("COPY to a script is 403", "COPY", "{}/b.php").expect(answer(403)),
        to("COPY below .webdfs is 400", "COPY", "/.webdfs/b.jpg").expect(answer(400)),
        to("COPY out of the root is 400", "COPY", "/../b.jpg").expect(answer(400)),
        to("COPY to a folder is 400", "COPY", "{}/x/").expect(answer(400)),
        of_a("COPY without Destination is 400", "COPY").expect(answer(400)),
        case("COPY of what is missing is 404", "COPY", A)
            .header("Destination", B)
            .expect(missing())
            .then_missing(B),
        to("MOVE leaves nothing behind", "MOVE", B).expect(created()).then_missing(A).then(B, stored()),
        to("MOVE onto another replaces it", "MOVE", B)
            .stored(B, "b")
            .expect(answer(204))
            .then_missing(A)
            .then(B, stored()),
        to("MOVE with Overwrite: F moves nothing onto another", "MOVE", B)
            .header("Overwrite", "F")
            .stored(B, "b")
            .expect(answer(412)),
        case("MOVE of what is missing is 404", "MOVE", A).header("Destination", B).expect(missing()),
    ]
}

fn others() -> Vec<Case> {
    let allowed = || bare(204).with("Allow", Want::Is(ALLOW));
    let not_allowed = || answer(405).with("Allow", Want::Is(ALLOW));
    vec![
        of_a("OPTIONS of a file says what there is", "OPTIONS").expect(allowed()),
        case("OPTIONS of what is missing says the same", "OPTIONS", A).expect(allowed()),
        case("OPTIONS of a folder says the same", "OPTIONS", "{}/").stored(A, "a").expect(allowed()),
        case("OPTIONS of the server itself says the same", "OPTIONS", "*")
            .expect(allowed())
            .except(&NGINX_ASTERISK, answer(400))
            .except(&ASTERISK, answer(200)),
        of_a("PATCH is 405", "PATCH").body("x").expect(not_allowed()),
        of_a("PROPFIND is 405", "PROPFIND").header("Depth", "0").expect(not_allowed()),
        case("MKCOL is 405", "MKCOL", "{}/x/").expect(not_allowed()),
        of_a("LOCK is 405", "LOCK").expect(not_allowed()),
        of_a("a method nobody knows is 405", "FROBNICATE")
            .expect(not_allowed())
            .except(&LIGHTTPD_METHODS, answer(501)),
        of_a("TRACE is 405, and nothing is echoed", "TRACE")
            .header("Cookie", "secret")
            .expect(not_allowed())
            .except(&FCGID_TRACE, answer(405)),
    ]
}
