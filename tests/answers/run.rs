//! Runs the set through one lane: each case on a local and on a remote replica, in a folder of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use super::case::{A, ANY_ERROR, After, Case, Content, Except, Expected, Sending, Want};
use super::lane::{Lane, Place};
use crate::common::{Answer, Call, Cluster, Connection, wait_until};

/// How often a request is repeated that is answered with 503 and Retry-After, as on a machine with too much to do.
const BUSY_MAX: usize = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(300);
/// Cases at once.
const THREADS: usize = 4;
/// Said between web servers and webdfs; never to clients.
const INTERNAL: [&str; 7] = [
    "X-Accel-Redirect",
    "X-Sendfile",
    "Webdfs-Peer",
    "Webdfs-Hop",
    "Webdfs-Version",
    "Webdfs-Crc32",
    "Status",
];
/// An answer has them once or not at all (RFC 9110 section 5.3, RFC 9112 section 6).
const SINGLE: [&str; 9] = [
    "ETag",
    "Last-Modified",
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "Location",
    "Date",
    "Transfer-Encoding",
];

/// One case on one place.
struct Job<'a> {
    case: &'a Case,
    place: Place,
    folder: String,
    /// The node that is asked.
    node: usize,
    /// The best of those that have the object, or will.
    owner: usize,
    /// What is stored under the target before.
    known: OnceLock<Option<Known>>,
}

/// What stands under the name before the request.
struct Known {
    etag: String,
    modified: String,
    body: Vec<u8>,
}

/// Runs the whole set.
///
/// # Panics
/// When any case is answered otherwise than it says, or anything else is on the disks afterwards.
pub fn run(set: &[Case], lane: &Lane) {
    let cluster = Cluster::start(lane.front, lane.options.clone());
    let jobs = jobs(set, lane, &cluster);
    let mut wrong = of_each(&jobs, |job| job.store(&cluster));
    lane.wait_until_rested();
    wrong.extend(of_each(&jobs, |job| job.run(lane, &cluster)));
    wait_until("no upload is left behind", || cluster.present().all(|node| cluster.spools(node).is_empty()));
    wrong.extend(strays(&jobs, lane, &cluster));
    wrong.extend(
        cluster.present().filter(|node| !cluster.is_alive(*node)).map(|node| format!("node {node} has died")),
    );
    if !wrong.is_empty() {
        let count = wrong.len();
        eprintln!("{}:\n\n{}\n", lane.name, wrong.join("\n\n"));
        panic!("{}: {count} of {} answers are wrong", lane.name, jobs.len());
    }
}

/// Does something with each job, several at once; what went wrong.
fn of_each(jobs: &[Job], act: impl Fn(&Job) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(problem) = act(job) {
                        let told = format!("{} ({:?}): {problem}", job.case.name, job.place);
                        wrong.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

fn jobs<'a>(set: &'a [Case], lane: &Lane, cluster: &Cluster) -> Vec<Job<'a>> {
    let places = lane.places().into_iter().flat_map(|place| set.iter().map(move |case| (case, place)));
    let mut jobs: Vec<Job> = places
        .enumerate()
        .map(|(number, (case, place))| Job {
            case,
            place,
            folder: format!("/answers/{number:05}"),
            node: 0,
            owner: 0,
            known: OnceLock::new(),
        })
        .collect();
    let deciding: Vec<String> = jobs.iter().map(|job| job.fill(job.case.deciding_name())).collect();
    for (job, owners) in jobs.iter_mut().zip(cluster.owners_of(&deciding)) {
        let other = (0..3).find(|node| !owners.contains(node)).expect("a node without it");
        job.owner = owners[0];
        job.node = if job.place == Place::Local { owners[0] } else { other };
    }
    jobs
}

impl Case {
    /// The name whose owners decide what is local.
    fn deciding_name(&self) -> &str {
        let mut names =
            self.before.iter().map(|(name, _)| name).chain(self.after.iter().map(|(name, _)| name));
        let of_target = names.clone().find(|name| name.as_bytes() == self.target);
        of_target.or_else(|| names.next()).map_or(A, String::as_str)
    }
}

impl Job<'_> {
    /// Puts the folder in.
    fn fill(&self, text: &str) -> String {
        text.replace("{}", &self.folder)
    }

    fn run(&self, lane: &Lane, cluster: &Cluster) -> Result<(), String> {
        let Some(known) = self.known.get() else { return Err("it was not stored".to_owned()) };
        // 503 says: come again (design section 6). One that stays is an answer.
        let mut answer = self.send(cluster, known.as_ref());
        for _ in 0..BUSY_MAX {
            if !answer.as_ref().is_ok_and(is_busy) {
                break;
            }
            std::thread::sleep(BUSY_PAUSE);
            answer = self.send(cluster, known.as_ref());
        }
        let except = self.case.except.iter().find(|except| except.fact.holds(lane, self.place));
        self.judge(&answer, known.as_ref(), except)?;
        let after = except.and_then(|except| except.after.as_ref()).unwrap_or(&self.case.after);
        self.check_after(cluster, after, known.as_ref())
    }

    /// Stores what the case wants stored, and notes down what is known of that under the target, or else of the first.
    fn store(&self, cluster: &Cluster) -> Result<(), String> {
        let mut known: Option<Known> = None;
        for (name, body) in &self.case.before {
            // What a client claims of the type counts nowhere.
            let put = Call::new("PUT", &self.fill(name))
                .header("Content-Type", "application/x-claimed")
                .body(body.clone());
            let store = || {
                put.try_send(cluster.address(self.owner)).map_err(|error| format!("storing {name}: {error}"))
            };
            let mut stored = store()?;
            for _ in 0..BUSY_MAX {
                if !is_busy(&stored) {
                    break;
                }
                std::thread::sleep(BUSY_PAUSE);
                stored = store()?;
            }
            if stored.status != 201 {
                return Err(format!("storing {name}: {stored}"));
            }
            if known.is_none() || name.as_bytes() == self.case.target {
                let header = |field| stored.header(field).unwrap_or_default().to_owned();
                known = Some(Known {
                    etag: header("ETag"),
                    modified: header("Last-Modified"),
                    body: body.clone(),
                });
            }
        }
        let _ = self.known.set(known);
        Ok(())
    }

    /// The value of a header.
    fn value(&self, text: &str, known: Option<&Known>) -> String {
        let text = self.fill(text);
        let Some(known) = known else { return text };
        let date = httpdate::parse_http_date(&known.modified).unwrap_or(SystemTime::UNIX_EPOCH);
        let day = Duration::from_secs(86_400);
        text.replace("{etag}", &known.etag)
            .replace("{date}", &known.modified)
            .replace("{date+1}", &httpdate::fmt_http_date(date + day))
            .replace("{date-1}", &httpdate::fmt_http_date(date.checked_sub(day).unwrap_or(date)))
    }

    /// The lines before the body.
    fn head(&self, cluster: &Cluster, known: Option<&Known>) -> Vec<u8> {
        let case = self.case;
        let host = cluster.address(self.node).to_string();
        let target =
            replace(&replace(&case.target, b"{host}", host.as_bytes()), b"{}", self.folder.as_bytes());
        let mut head = [case.method.as_bytes(), b" ", &target, b" HTTP/1.1\r\n"].concat();
        let mut line = |name: &str, value: &str| head.extend(format!("{name}: {value}\r\n").bytes());
        if case.host {
            line("Host", &host);
        }
        for (name, value) in &case.headers {
            line(name, &self.value(value, known).replace("{host}", &host));
        }
        match &case.body {
            Sending::None | Sending::Raw(_) => {}
            Sending::Length(body) => line("Content-Length", &body.len().to_string()),
            Sending::Continue(body) => {
                line("Content-Length", &body.len().to_string());
                line("Expect", "100-continue");
            }
            Sending::Asking(length) => {
                line("Content-Length", &length.to_string());
                line("Expect", "100-continue");
            }
            Sending::Cut { promised, .. } => line("Content-Length", &promised.to_string()),
            Sending::Chunked(..) | Sending::CutChunked(_) => line("Transfer-Encoding", "chunked"),
        }
        head.extend(b"\r\n");
        head
    }

    /// Sends the request. No answer is an answer too: the error says what came instead.
    fn send(&self, cluster: &Cluster, known: Option<&Known>) -> std::io::Result<Answer> {
        let mut connection = Connection::open(cluster.address(self.node))?;
        // A server may answer and close before it has read everything.
        let _ = connection.write(&self.head(cluster, known));
        let _ = match &self.case.body {
            Sending::None => Ok(()),
            Sending::Length(body) | Sending::Raw(body) => connection.write(body),
            Sending::Chunked(body, size) => {
                body.chunks(*size).chain([&[][..]]).try_for_each(|chunk| connection.chunk(chunk))
            }
            Sending::Continue(body) => {
                let mut head = connection.answer_head()?;
                if head.status != 100 {
                    head.body = connection.body(self.case.method, &head)?;
                    return Ok(head);
                }
                connection.write(body)
            }
            Sending::Asking(_) => {
                let mut head = connection.answer_head()?;
                if head.status >= 200 {
                    head.body = connection.body(self.case.method, &head)?;
                }
                return Ok(head);
            }
            Sending::Cut { sent, .. } => connection.write(sent).and_then(|()| connection.end_sending()),
            Sending::CutChunked(sent) => connection.chunk(sent).and_then(|()| connection.end_sending()),
        };
        connection.answer(self.case.method)
    }

    fn judge(
        &self,
        answer: &std::io::Result<Answer>,
        known: Option<&Known>,
        except: Option<&Except>,
    ) -> Result<(), String> {
        let usual = self.is_expected(answer, &self.case.expected, known);
        let Some(except) = except else { return usual };
        if usual.is_ok() {
            return Err(format!("needs no exception for: {}", except.fact.text));
        }
        self.is_expected(answer, except.instead.as_slice(), known)
            .map_err(|problem| format!("where {}: {problem}", except.fact.text))
    }

    /// Whether an answer is one of those expected.
    fn is_expected(
        &self,
        answer: &std::io::Result<Answer>,
        expected: &[Expected],
        known: Option<&Known>,
    ) -> Result<(), String> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if expected.is_empty() || !self.case.answered => return Ok(()),
            Err(error) => return Err(format!("no answer: {error}")),
        };
        let mut problems = Vec::new();
        for expected in expected {
            match self.matches(answer, expected, known) {
                Ok(()) => return Ok(()),
                Err(problem) => problems.push(problem),
            }
        }
        Err(format!("{}\n{answer}", problems.join("; or ")))
    }

    fn matches(&self, answer: &Answer, expected: &Expected, known: Option<&Known>) -> Result<(), String> {
        let any_error = expected.status == ANY_ERROR && (400..600).contains(&answer.status);
        if answer.status != expected.status && !any_error {
            return Err(format!("{} where {} is right", answer.status, expected.status));
        }
        for name in INTERNAL {
            if answer.header(name).is_some() {
                return Err(format!("{name} reaches the client"));
            }
        }
        for name in SINGLE {
            let lines = answer.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
            if lines > 1 {
                return Err(format!("{name} is there {lines} times"));
            }
        }
        for (name, want) in &expected.headers {
            let found = answer.header(name);
            let before = known.filter(|_| *name == "ETag").map(|known| known.etag.as_str());
            let right = match want {
                Want::Is(value) => found == Some(&self.value(value, known)),
                Want::There => found.is_some(),
                Want::Absent => found.is_none(),
                Want::Changed => found.is_some() && found != before,
            };
            if !right {
                return Err(format!("{name} is {found:?} where {want:?} is right"));
            }
        }
        if expected.validators {
            let known = known.ok_or("the case stores nothing whose validators could be expected")?;
            let right = [("ETag", &known.etag), ("Last-Modified", &known.modified)];
            for (name, value) in right {
                let may_lack =
                    answer.status == 304 && name == "Last-Modified" && answer.header(name).is_none();
                if answer.header(name) != Some(value) && !may_lack {
                    return Err(format!("{name} is {:?} where {value:?} is right", answer.header(name)));
                }
            }
        }
        self.has_content(answer, &expected.body, known)
    }

    fn has_content(&self, answer: &Answer, content: &Content, known: Option<&Known>) -> Result<(), String> {
        let right = match content {
            Content::Any => true,
            Content::Is(bytes) => answer.body == *bytes,
            Content::Text(text) => answer.body == self.fill(text).into_bytes(),
            Content::Parts(parts) => {
                return has_parts(answer, parts, &known.ok_or("nothing is stored")?.body);
            }
        };
        if right { Ok(()) } else { Err("other bytes in the body".to_owned()) }
    }

    /// Everything that the case names, and all that was stored before and is not named.
    fn check_after(
        &self,
        cluster: &Cluster,
        after: &[(String, After)],
        known: Option<&Known>,
    ) -> Result<(), String> {
        for (name, state) in after {
            let target = self.fill(name);
            let nodes = match state {
                After::Stored(_) => vec![self.node, (self.node + 1) % 3],
                After::Missing => vec![0, 1, 2],
            };
            for node in nodes {
                let get = Call::new("GET", &target).try_send(cluster.address(node));
                let answer = get.map_err(|error| format!("afterwards {name} on node {node}: {error}"))?;
                let right = match state {
                    After::Stored(body) => answer.status == 200 && answer.body == *body,
                    After::Missing => answer.status == 404,
                };
                if !right {
                    let wanted = if matches!(state, After::Missing) { "missing" } else { "stored" };
                    return Err(format!("afterwards {name} on node {node} should be {wanted}: {answer}"));
                }
            }
        }
        if matches!(self.case.method, "GET" | "HEAD" | "OPTIONS") {
            return Ok(());
        }
        for (name, body) in &self.case.before {
            if after.iter().any(|(named, _)| named == name) {
                continue;
            }
            let get = Call::new("GET", &self.fill(name)).try_send(cluster.address(self.node));
            let answer = get.map_err(|error| format!("afterwards {name}: {error}"))?;
            let is_target = name.as_bytes() == self.case.target;
            let etag = known.filter(|_| is_target).map(|known| known.etag.as_str());
            if answer.status != 200 || answer.body != *body || etag.is_some_and(|etag| answer.etag() != etag)
            {
                return Err(format!("{name} should be as before: {answer}"));
            }
        }
        Ok(())
    }
}

fn is_busy(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("Retry-After").is_some()
}

/// `multipart/byteranges` (RFC 9110 section 14.6), whatever the server puts around its parts.
fn has_parts(answer: &Answer, parts: &[(usize, usize)], of: &[u8]) -> Result<(), String> {
    let content_type = answer.header("Content-Type").unwrap_or_default();
    let boundary =
        content_type.strip_prefix("multipart/byteranges; boundary=").ok_or("no multipart/byteranges")?;
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let mut rest = &answer.body[..];
    for (first, last) in parts {
        let start = find(rest, boundary.as_bytes()).ok_or("a part is missing")?;
        let end = start + find(&rest[start..], b"\r\n\r\n").ok_or("a part has no head")?;
        let head = String::from_utf8_lossy(&rest[start..end]).to_ascii_lowercase();
        let range = format!("content-range: bytes {first}-{last}/{}", of.len());
        if !head.contains(&range) || !head.contains("content-type: image/jpeg") {
            return Err(format!("the head of a part is {head:?} where {range:?} is right"));
        }
        let bytes = &of[*first..=*last];
        rest = rest[end + 4..].strip_prefix(bytes).ok_or("other bytes in a part")?;
    }
    if rest.trim_ascii() == format!("{boundary}--").as_bytes() {
        Ok(())
    } else {
        Err("more behind the parts".to_owned())
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match find(text, from) {
        Some(at) => [&text[..at], to, &replace(&text[at + from.len()..], from, to)].concat(),
        None => text.to_vec(),
    }
}

/// Files on the disks that no case has stored there, or that one has removed.
fn strays(jobs: &[Job], lane: &Lane, cluster: &Cluster) -> Vec<String> {
    let mut expected = BTreeSet::new();
    for job in jobs {
        let except = job.case.except.iter().find(|except| except.fact.holds(lane, job.place));
        let after = except.and_then(|except| except.after.as_ref()).unwrap_or(&job.case.after);
        expected.extend(job.case.before.iter().map(|(name, _)| decoded(&job.fill(name))));
        for (name, state) in after {
            match state {
                After::Stored(_) => expected.insert(decoded(&job.fill(name))),
                After::Missing => expected.remove(&decoded(&job.fill(name))),
            };
        }
    }
    let mut strays = Vec::new();
    for node in cluster.present() {
        let root = cluster.root(node);
        let mut found = Vec::new();
        files(&root, &mut found);
        for file in found {
            let name = &file[root.as_os_str().len()..];
            if !expected.contains(name) {
                strays
                    .push(format!("on the disk of node {node}, and should not be: {}", name.escape_ascii()));
            }
        }
    }
    strays
}

/// A target's path as bytes: percent signs decoded once.
fn decoded(target: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(target).collect()
}

/// The files below a folder, but for webdfs's own.
fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            if entry.file_name() != OsStr::new(".webdfs") {
                files(&entry.path(), found);
            }
        } else {
            found.push(entry.path().into_os_string().into_vec());
        }
    }
}
