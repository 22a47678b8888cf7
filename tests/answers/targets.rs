//! How a target becomes a name: decoded once, `//` and dot segments resolved, the query left out (design section 5).

use super::case::{A, Case, Want, answer, case, created, missing, of_a, stored, whole};
use super::facts::{APACHE_NUL, FOLDER_REDIRECT};

pub fn cases() -> Vec<Case> {
    [same(), others(), refused(), folders()].concat()
}

/// Other ways to write `{}/a.jpg`.
fn same() -> Vec<Case> {
    let ways = [
        ("a letter may be encoded", "{}/%61.jpg"),
        ("a dot may be encoded", "{}/a%2ejpg"),
        ("hexadecimal digits may be large or small", "{}/%61%2Ejp%67"),
        ("two slashes are one", "{}//a.jpg"),
        ("many slashes are one", "//{}////a.jpg"),
        ("a single dot is nothing", "{}/./a.jpg"),
        ("two dots go up", "{}/x/../a.jpg"),
        ("an encoded dot is nothing too", "{}/%2e/a.jpg"),
        ("encoded dots go up too", "{}/x/%2E%2e/a.jpg"),
        ("half-encoded dots go up too", "{}/x/.%2e/a.jpg"),
        ("dots and slashes mix", "{}/x//./y/..//../a.jpg"),
        ("the query says nothing", "{}/a.jpg?v=1"),
        ("an empty query says nothing", "{}/a.jpg?"),
        ("dots in the query lead nowhere", "{}/a.jpg?/../../x"),
        ("the query may hold an encoded slash", "{}/a.jpg?x=a%2Fb"),
        ("the query may hold a NUL", "{}/a.jpg?x=%00"),
        ("the query may hold a second question mark", "{}/a.jpg?x?y"),
        ("the query may hold what is no percent form", "{}/a.jpg?100%"),
        ("the absolute form means its path", "http://{host}{}/a.jpg"),
        ("the absolute form has a query too", "http://{host}{}/a.jpg?v=1"),
    ];
    let mut cases: Vec<Case> = ways
        .into_iter()
        .map(|(name, target)| case(name, "GET", target).stored(A, stored()).expect(whole(stored())))
        .collect();
    cases.extend([
        case("PUT resolves slashes and dots", "PUT", "{}/x//./y/../b.jpg")
            .body("b")
            .expect(created())
            .then("{}/x/b.jpg", "b"),
        case("PUT leaves the query out", "PUT", "{}/b.jpg?v=1")
            .body("b")
            .expect(created())
            .then("{}/b.jpg", "b"),
        case("PUT takes the absolute form", "PUT", "http://{host}{}/b.jpg")
            .body("b")
            .expect(created())
            .then("{}/b.jpg", "b"),
        case("DELETE resolves slashes and dots", "DELETE", "{}/x/..//a.jpg")
            .stored(A, "a")
            .expect(answer(204))
            .then_missing(A),
    ]);
    cases
}

/// What looks alike and is another name.
fn others() -> Vec<Case> {
    let others = [
        ("a name is decoded once only", "{}/a%2520b.jpg", "{}/a%20b.jpg"),
        ("dots that are encoded twice are no dots", "{}/%252e%252e/a.jpg", "{}/../a.jpg"),
        ("a plus is no space", "{}/a+b.jpg", "{}/a%20b.jpg"),
        ("a semicolon belongs to the name", "{}/a;v=1.jpg", "{}/a.jpg"),
        ("large letters are others than small ones", "{}/A.jpg", "{}/a.jpg"),
        ("an encoded question mark belongs to the name", "{}/a.jpg%3Fv=1", "{}/a.jpg"),
        ("a backslash is no slash", "{}/x%5Ca.jpg", "{}/x/a.jpg"),
        ("dots at the end belong to the name", "{}/a.jpg..", "{}/a.jpg"),
        ("an overlong form of a dot is no dot", "{}/%c0%ae%c0%ae/a.jpg", "{}/../a.jpg"),
    ];
    let mut cases = Vec::new();
    for (name, target, other) in others {
        // The other name stands beside it where it is one.
        let stored_first = case(name, "PUT", target);
        let stored_first = if other.contains("..") && !other.ends_with("..") {
            stored_first
        } else {
            stored_first.stored(other, stored())
        };
        cases.push(stored_first.body("this one").expect(created()).then(target, "this one"));
    }
    cases.push(
        case("a name with a slash behind it is another", "GET", "{}/a.jpg/").stored(A, "a").expect(missing()),
    );
    cases
}

fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    let targets = [
        ("a target that leaves the root", "/../a.jpg"),
        ("a target that leaves the root by more than it has", "{}/../../../a.jpg"),
        ("a target that leaves the root in disguise", "/%2e%2e/a.jpg"),
        ("an encoded slash", "{}/a%2Fb.jpg"),
        ("an encoded slash in small letters", "{}/x%2fa.jpg"),
        ("dots before an encoded slash", "{}/..%2fa.jpg"),
        ("a NUL", "{}/a%00.jpg"),
        ("a percent sign before other letters", "{}/a%zz.jpg"),
        ("a percent sign at the end", "{}/a%"),
        ("a percent sign before one digit", "{}/a%4"),
    ];
    for (what, target) in targets {
        let name = |method: &str| -> &'static str { format!("{method} of {what} is 400").leak() };
        let get =
            case(name("GET"), "GET", target).stored(A, "a").expect(answer(400).with("ETag", Want::Absent));
        let put = case(name("PUT"), "PUT", target).body("x").expect(answer(400));
        let decoded_by_apache = target.contains("%00");
        cases.extend([get, put].map(|case| match decoded_by_apache {
            true => case.except(&APACHE_NUL, answer(404)),
            false => case,
        }));
    }
    cases.push(
        case("DELETE of an encoded slash is 400", "DELETE", "{}/x%2fa.jpg")
            .stored("{}/x/a.jpg", "a")
            .expect(answer(400)),
    );
    cases
}

fn folders() -> Vec<Case> {
    let index = || case("", "GET", "{}/").stored("{}/index.html", "<p>index</p>");
    let moved = || answer(301);
    vec![
        Case { name: "a folder means its index file", ..index() }
            .expect(whole(b"<p>index</p>".to_vec()).with("Content-Type", Want::Is("text/html"))),
        Case { name: "HEAD of a folder means its index file", method: "HEAD", ..index() }.expect(
            super::case::head_of(b"<p>index</p>".to_vec()).with("Content-Type", Want::Is("text/html")),
        ),
        Case {
            name: "the index file may be asked for by its name",
            target: b"{}/index.html".to_vec(),
            ..index()
        }
        .expect(whole(b"<p>index</p>".to_vec())),
        case("a folder without an index file is 404", "GET", "{}/").stored(A, "a").expect(missing()),
        case("a folder that does not exist is 404", "GET", "{}/x/").expect(missing()),
        case("a folder without its slash is no file", "GET", "{}/x")
            .stored("{}/x/a.jpg", "a")
            .expect(missing())
            .except(&FOLDER_REDIRECT, moved()),
        of_a("a name below a file is missing", "GET").stored("{}/x", "file").expect(whole(stored())),
        case("a name below that of a file is missing", "GET", "{}/x/a.jpg")
            .stored("{}/x", "file")
            .expect(missing()),
    ]
}
