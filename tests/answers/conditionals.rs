//! Conditional requests (RFC 9110 section 13).

use super::case::{
    A, Case, answer, case, created, head_of, missing, not_modified, of_a, replaced, stored, whole,
};
use super::facts::{APACHE_FUTURE, BOTH_CONDITIONS, MATCH_AND_DATE, NGINX_BROKEN_DATE};

pub fn cases() -> Vec<Case> {
    [if_none_match(), if_modified_since(), if_match(), several(), writes()].concat()
}

fn get(name: &'static str, header: &'static str, value: &str) -> Case {
    of_a(name, "GET").header(header, value)
}

fn head(name: &'static str, header: &'static str, value: &str) -> Case {
    of_a(name, "HEAD").header(header, value)
}

fn all() -> super::case::Expected {
    whole(stored())
}

fn if_none_match() -> Vec<Case> {
    const FIELD: &str = "If-None-Match";
    vec![
        get("If-None-Match with the ETag is 304", FIELD, "{etag}").expect(not_modified()),
        get("If-None-Match compares weakly", FIELD, "W/{etag}").expect(not_modified()),
        get("If-None-Match with another ETag is 200", FIELD, "\"other\"").expect(all()),
        get("If-None-Match with a list that has it is 304", FIELD, "\"other\", {etag}, \"more\"")
            .expect(not_modified()),
        get("If-None-Match with a list that has it weakly is 304", FIELD, "\"other\", W/{etag}")
            .expect(not_modified()),
        get("If-None-Match with a list without it is 200", FIELD, "\"other\", \"more\"").expect(all()),
        get("If-None-Match with an asterisk is 304", FIELD, "*").expect(not_modified()),
        get("If-None-Match with nonsense is 200", FIELD, "nonsense").expect(all()),
        case("If-None-Match of what is missing is 404", "GET", A).header(FIELD, "*").expect(missing()),
        head("HEAD: If-None-Match with the ETag is 304", FIELD, "{etag}").expect(not_modified()),
        head("HEAD: If-None-Match with another ETag is 200", FIELD, "\"other\"").expect(head_of(stored())),
    ]
}

fn if_modified_since() -> Vec<Case> {
    const FIELD: &str = "If-Modified-Since";
    vec![
        get("If-Modified-Since with the date is 304", FIELD, "{date}").expect(not_modified()),
        get("If-Modified-Since with a later date is 304", FIELD, "{date+1}")
            .expect(not_modified())
            .except(&APACHE_FUTURE, all()),
        get("If-Modified-Since with an earlier date is 200", FIELD, "{date-1}").expect(all()),
        get("If-Modified-Since with nonsense is 200", FIELD, "yesterday").expect(all()),
        case("If-Modified-Since of what is missing is 404", "GET", A)
            .header(FIELD, "Sun, 06 Nov 1994 08:49:37 GMT")
            .expect(missing()),
        head("HEAD: If-Modified-Since with the date is 304", FIELD, "{date}").expect(not_modified()),
        head("HEAD: If-Modified-Since with an earlier date is 200", FIELD, "{date-1}")
            .expect(head_of(stored())),
    ]
}

fn if_match() -> Vec<Case> {
    vec![
        get("If-Match with the ETag is 200", "If-Match", "{etag}").expect(all()),
        get("If-Match with an asterisk is 200", "If-Match", "*").expect(all()),
        get("If-Match with a list that has it is 200", "If-Match", "\"other\", {etag}").expect(all()),
        get("If-Match with another ETag is 412", "If-Match", "\"other\"").expect(answer(412)),
        get("If-Match compares strongly", "If-Match", "W/{etag}").expect(answer(412)),
        head("HEAD: If-Match with another ETag is 412", "If-Match", "\"other\"").expect(answer(412)),
        case("If-Match of what is missing is 404", "GET", A).header("If-Match", "*").expect(missing()),
        get("If-Unmodified-Since with the date is 200", "If-Unmodified-Since", "{date}").expect(all()),
        get("If-Unmodified-Since with a later date is 200", "If-Unmodified-Since", "{date+1}").expect(all()),
        get("If-Unmodified-Since with an earlier date is 412", "If-Unmodified-Since", "{date-1}")
            .expect(answer(412)),
        get("If-Unmodified-Since with nonsense is 200", "If-Unmodified-Since", "tomorrow")
            .expect(all())
            .except(&NGINX_BROKEN_DATE, answer(412)),
    ]
}

/// Which goes before which: section 13.2.2.
fn several() -> Vec<Case> {
    let get = |name, fields: [(&'static str, &str); 2]| {
        fields.into_iter().fold(of_a(name, "GET"), |case, (field, value)| case.header(field, value))
    };
    vec![
        get(
            "If-None-Match goes before a later If-Modified-Since",
            [("If-None-Match", "\"other\""), ("If-Modified-Since", "{date}")],
        )
        .expect(all()),
        get(
            "If-None-Match goes before an earlier If-Modified-Since",
            [("If-None-Match", "{etag}"), ("If-Modified-Since", "{date-1}")],
        )
        .expect(not_modified())
        .except(&BOTH_CONDITIONS, all()),
        get(
            "If-None-Match and If-Modified-Since may agree",
            [("If-None-Match", "{etag}"), ("If-Modified-Since", "{date}")],
        )
        .expect(not_modified()),
        get(
            "If-Match goes before If-Unmodified-Since",
            [("If-Match", "{etag}"), ("If-Unmodified-Since", "{date-1}")],
        )
        .expect(all())
        .except(&MATCH_AND_DATE, answer(412)),
        get(
            "If-Match that holds goes on to If-None-Match",
            [("If-Match", "{etag}"), ("If-None-Match", "{etag}")],
        )
        .expect(not_modified()),
        get(
            "If-Match that does not hold goes first",
            [("If-Match", "\"other\""), ("If-None-Match", "{etag}")],
        )
        .expect(answer(412)),
    ]
}

fn writes() -> Vec<Case> {
    let put = |name, field, value: &str| of_a(name, "PUT").header(field, value).body("other");
    let delete = |name, field, value: &str| of_a(name, "DELETE").header(field, value);
    let new = |name, method, field| case(name, method, A).header(field, "*");
    let done = |case: Case| case.expect(replaced()).then(A, "other");
    let failed = |case: Case| case.expect(answer(412));
    let gone = |case: Case| case.expect(answer(204)).then_missing(A);
    vec![
        done(put("PUT: If-Match with the ETag replaces", "If-Match", "{etag}")),
        done(put("PUT: If-Match with a list that has it replaces", "If-Match", "\"other\", {etag}")),
        done(put("PUT: If-Match with an asterisk replaces", "If-Match", "*")),
        failed(put("PUT: If-Match with another ETag is 412", "If-Match", "\"other\"")),
        failed(put("PUT: If-Match compares strongly", "If-Match", "W/{etag}")),
        new("PUT: If-Match with an asterisk on nothing is 412", "PUT", "If-Match")
            .body("x")
            .expect(answer(412))
            .then_missing(A),
        new("PUT: If-None-Match with an asterisk creates", "PUT", "If-None-Match")
            .body("x")
            .expect(created())
            .then(A, "x"),
        failed(put("PUT: If-None-Match with an asterisk replaces nothing", "If-None-Match", "*")),
        failed(put("PUT: If-None-Match with the ETag is 412", "If-None-Match", "{etag}")),
        done(put("PUT: If-None-Match with another ETag replaces", "If-None-Match", "\"other\"")),
        done(put("PUT: If-Unmodified-Since with the date replaces", "If-Unmodified-Since", "{date}")),
        failed(put(
            "PUT: If-Unmodified-Since with an earlier date is 412",
            "If-Unmodified-Since",
            "{date-1}",
        )),
        done(put("PUT: If-Modified-Since says nothing", "If-Modified-Since", "{date}")),
        gone(delete("DELETE: If-Match with the ETag deletes", "If-Match", "{etag}")),
        gone(delete("DELETE: If-Match with an asterisk deletes", "If-Match", "*")),
        failed(delete("DELETE: If-Match with another ETag is 412", "If-Match", "\"other\"")),
        failed(delete("DELETE: If-None-Match with an asterisk is 412", "If-None-Match", "*")),
        failed(delete(
            "DELETE: If-Unmodified-Since with an earlier date is 412",
            "If-Unmodified-Since",
            "{date-1}",
        )),
        // Section 13.2.1: what would not be 2xx without its conditions is answered as without them.
        new("DELETE: If-Match with an asterisk on nothing is 404", "DELETE", "If-Match").expect(missing()),
        failed(
            of_a("COPY: If-Match with another ETag is 412", "COPY")
                .header("Destination", "{}/b.jpg")
                .header("If-Match", "\"other\"")
                .then_missing("{}/b.jpg"),
        ),
    ]
}
