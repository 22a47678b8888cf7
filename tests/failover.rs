//! Owners that break off in the middle of a body: another goes on, and the client sees one unbroken answer, or can tell
//! that it is not whole.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use common::{
    Answer, Call, Cluster, Connection, Detour, End, Front, Harm, Options, PATIENCE, Way, noise, wait_until,
};

/// Bytes of the objects here: more than the buffers on their way.
const LENGTH: usize = 1_200_000;
/// Where answers break off, head included: in the head, about its end, in the first bytes, in the middle, near the end.
const PLACES: [usize; 6] = [100, 700, 5_000, 600_000, 1_190_000, LENGTH];
/// The node that is asked here.
const ASKED: usize = 0;

/// Four nodes, of which three own an object and the other is asked for it; they reach each other by detours.
struct Scene {
    cluster: Cluster,
    detours: Vec<Detour>,
    target: String,
    owners: Vec<usize>,
}

impl Scene {
    /// `asked` says whether the node that is asked is an owner itself.
    fn start(front: Front, asked: bool) -> Self {
        let options = Options {
            nodes: 4,
            detour: &[0, 1, 2, 3],
            deliver: "remote = \"proxy\"",
            write: "object_max = \"64MiB\"",
            static_first: false,
            ..Options::default()
        };
        let cluster = Cluster::launch(front, options);
        let open = |node| Detour::open(cluster.detour_address(node), Way::to(cluster.address(node)));
        let detours = (0..4).map(open).collect();
        for node in cluster.present() {
            cluster.wait_until_ready(node);
        }
        let target = cluster.path_owned("/over", |owners| owners.contains(&ASKED) == asked);
        let owners = cluster.owners(&target).into_iter().filter(|node| *node != ASKED).collect();
        Self { cluster, detours, target, owners }
    }

    /// Stores the object anew, so that all owners count as well again.
    fn store(&self, seed: u64, length: usize) -> Vec<u8> {
        let body = noise(seed, length);
        let answer = self.cluster.put(ASKED, &self.target, body.clone());
        assert!(matches!(answer.status, 201 | 204), "{answer}");
        let all = || {
            self.owners
                .iter()
                .all(|node| fs::read(self.cluster.file(*node, &self.target)).is_ok_and(|bytes| bytes == body))
        };
        wait_until("every owner has it", all);
        body
    }

    /// Those owners' answers break off; the others' do not.
    fn harm(&self, owners: &[usize], harm: Harm) {
        self.heal();
        for owner in owners {
            self.detours[*owner].harm(Some(harm));
        }
    }

    fn heal(&self) {
        for detour in &self.detours {
            detour.harm(None);
        }
    }

    fn harmed(&self) -> usize {
        self.detours.iter().map(Detour::harmed).sum()
    }

    fn address(&self) -> SocketAddr {
        self.cluster.address(ASKED)
    }

    fn get(&self) -> Call {
        Call::new("GET", &self.target)
    }
}

fn cut(after: usize) -> Harm {
    Harm { after, end: End::Close }
}

/// An answer with several ranges in which the boundary, which is drawn for each, is always the same.
fn bounded(mut answer: Answer) -> Answer {
    let content_type = answer.header("Content-Type").expect("a type").to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("several ranges");
    let (from, to) = (boundary.as_bytes(), vec![b'0'; boundary.len()]);
    let mut at = 0;
    while let Some(found) = answer.body[at..].windows(from.len()).position(|window| window == from) {
        at += found;
        answer.body[at..at + to.len()].copy_from_slice(&to);
    }
    answer
}

on_both_fronts!(
    a_client_sees_one_answer_wherever_an_owner_breaks_off,
    ranges_are_one_answer_too,
    when_nobody_can_go_on_the_client_can_tell,
    bytes_that_an_owner_has_wrong_are_never_the_whole_of_an_answer,
    an_owner_that_fetches_what_it_lacks_keeps_the_right_bytes,
);

fn a_client_sees_one_answer_wherever_an_owner_breaks_off(front: Front) {
    let scene = Scene::start(front, false);
    for (round, place) in PLACES.into_iter().enumerate() {
        for failing in 1..=2 {
            let body = scene.store(round as u64 * 2 + failing as u64, LENGTH);
            let before = scene.harmed();
            scene.harm(&scene.owners[..failing], cut(place));
            let answer = scene.get().send(scene.address()).expect(200);
            assert!(answer.body == body, "{failing} owners broke off after {place} bytes: {answer}");
            assert!(scene.harmed() > before, "nobody broke off after {place} bytes");
            scene.heal();
        }
    }
}

fn ranges_are_one_answer_too(front: Front) {
    let scene = Scene::start(front, false);
    let whole = scene.owners[2];
    for (round, place) in [100, 20_000, 250_000, 550_000].into_iter().enumerate() {
        for range in ["bytes=1000-800000", "bytes=-600000", "bytes=0-239999,240001-240001,400000-799999,-10"]
        {
            scene.store(round as u64, LENGTH);
            // A node that has the object itself answers from its own disk.
            let expected =
                scene.get().header("Range", range).send(scene.cluster.side_address(whole)).expect(206);
            let before = scene.harmed();
            scene.harm(&scene.owners[..2], cut(place));
            let answer = scene.get().header("Range", range).send(scene.address()).expect(206);
            assert!(scene.harmed() > before, "nobody broke off after {place} bytes");
            scene.heal();
            for name in ["Content-Length", "Content-Range", "ETag", "Last-Modified"] {
                assert_eq!(answer.header(name), expected.header(name), "{range}");
            }
            if range.contains(',') {
                assert!(bounded(answer).body == bounded(expected).body, "{range}, cut at {place}");
            } else {
                assert!(answer.body == expected.body, "{range}, cut at {place}");
            }
        }
    }
}

#[test]
fn an_owner_that_falls_silent_is_followed_by_the_next() {
    let scene = Scene::start(Front::Embedded, false);
    let body = scene.store(1, LENGTH);
    scene.harm(&scene.owners[..1], Harm { after: 700_000, end: End::Stall });
    assert!(scene.get().send(scene.address()).expect(200).body == body);
    assert_eq!(scene.harmed(), 1);
}

#[test]
fn an_owner_that_breaks_off_again_and_again_is_put_aside_for_a_growing_time() {
    let scene = Scene::start(Front::Embedded, false);
    let body = scene.store(1, LENGTH);
    scene.harm(&scene.owners[..1], cut(700_000));
    let start = Instant::now();
    while scene.harmed() < 4 {
        assert!(scene.get().send(scene.address()).expect(200).body == body);
        assert!(start.elapsed() < PATIENCE, "it is never tried again");
    }
    // That it begins each answer well changes nothing: 250 ms, 500 ms and 1 s are over, however slow the machine is.
    assert!(start.elapsed() >= Duration::from_millis(1750), "tried again after {:?}", start.elapsed());
    // Nor is it forgotten. Whether it is asked shows in what breaks off: a connection may be one that was there before.
    let before = scene.harmed();
    wait_until("it is asked again", || {
        assert!(scene.get().send(scene.address()).expect(200).body == body);
        scene.harmed() > before
    });
}

fn when_nobody_can_go_on_the_client_can_tell(front: Front) {
    let scene = Scene::start(front, false);
    // All of them break off, before they have sent all of it together.
    let body = scene.store(1, LENGTH);
    scene.harm(&scene.owners, cut(LENGTH / 4));
    assert_cut(&scene, &[body]);
    scene.heal();
    // Each has another version. Whoever comes first, what the others have is not what the client has the beginning of,
    // though either could send the rest.
    let mut bodies = vec![scene.store(2, LENGTH)];
    for (seed, owner) in (3..).zip(&scene.owners[1..]) {
        let file = scene.cluster.file(*owner, &scene.target);
        bodies.push(noise(seed, LENGTH));
        fs::remove_file(&file).unwrap();
        fs::write(&file, bodies.last().unwrap()).unwrap();
    }
    scene.harm(&scene.owners, cut(LENGTH * 2 / 3));
    assert_cut(&scene, &bodies);
}

fn bytes_that_an_owner_has_wrong_are_never_the_whole_of_an_answer(front: Front) {
    let scene = Scene::start(front, false);
    for length in [1000, LENGTH] {
        let body = scene.store(length as u64, length);
        // A bit flips on the disk of the one that is asked first; all else stays.
        let file = scene.cluster.file(scene.owners[0], &scene.target);
        let modified = fs::metadata(&file).and_then(|metadata| metadata.modified()).unwrap();
        let file = fs::File::options().write(true).open(file).unwrap();
        file.write_all_at(&[body[length / 2] ^ 1], length as u64 / 2).unwrap();
        file.set_modified(modified).unwrap();
        // A web server may have asked once more after the answer was cut off.
        match scene.get().try_send(scene.address()) {
            Ok(answer) if answer.status == 200 => assert!(answer.body == body, "{length}: {answer}"),
            _ => {}
        }
        // That one is put aside: another is asked now.
        assert!(scene.get().send(scene.address()).expect(200).body == body);
    }
}

/// Checks that what comes is the beginning of one of these and that the client can tell that it is not all.
#[track_caller]
fn assert_cut(scene: &Scene, bodies: &[Vec<u8>]) {
    let before = scene.harmed();
    let mut connection = Connection::open(scene.address()).unwrap();
    connection.begin(&scene.get()).unwrap();
    let head = connection.answer_head().unwrap().expect(200);
    assert_eq!(head.header("Content-Length"), Some(LENGTH.to_string().as_str()), "{head}");
    let mut got = vec![];
    while got.len() < LENGTH {
        let Ok(byte) = connection.read_exactly(1) else { break };
        got.extend(byte);
    }
    assert!(scene.harmed() > before, "nobody broke off");
    assert!(got.len() < LENGTH, "all of it came");
    assert!(bodies.iter().any(|body| body.starts_with(&got)), "{} bytes of none of them", got.len());
}

fn an_owner_that_fetches_what_it_lacks_keeps_the_right_bytes(front: Front) {
    let scene = Scene::start(front, true);
    for (round, place) in [5_000, 600_000, 1_190_000].into_iter().enumerate() {
        let body = scene.store(round as u64, LENGTH);
        let own = scene.cluster.file(ASKED, &scene.target);
        fs::remove_file(&own).unwrap();
        let before = scene.harmed();
        scene.harm(&scene.owners[..1], cut(place));
        let answer = scene.get().send(scene.address()).expect(200);
        assert!(answer.body == body && scene.harmed() > before, "{place}: {answer}");
        scene.heal();
        let time = |file: &std::path::Path| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
        let other = scene.cluster.file(scene.owners[1], &scene.target);
        wait_until("it is kept", || fs::read(&own).is_ok_and(|bytes| bytes == body));
        assert_eq!(time(&own), time(&other), "of the same version");
    }
}

#[test]
fn a_head_and_a_copy_go_on_at_the_next_owner_too() {
    let scene = Scene::start(Front::Embedded, false);
    let body = scene.store(1, LENGTH);
    scene.harm(&scene.owners[..2], cut(10));
    let answer = scene.cluster.head(ASKED, &scene.target).expect(200);
    assert_eq!(answer.header("Content-Length"), Some(body.len().to_string().as_str()));
    // The background work may have met it as well.
    let before = scene.harmed();
    assert!(before >= 2, "{before} broke off");
    scene.heal();
    let body = scene.store(2, LENGTH);
    scene.harm(&scene.owners[..1], cut(700_000));
    let copy = scene.get();
    let copy = Call::new("COPY", copy.target()).header("Destination", "/copied.jpg");
    copy.send(scene.address()).expect(201);
    assert!(scene.harmed() > before, "nobody broke off");
    scene.heal();
    assert!(scene.cluster.get(ASKED, "/copied.jpg").expect(200).body == body);
}

#[test]
fn a_large_body_is_never_in_memory_as_a_whole() {
    const LARGE: usize = 32 << 20;
    let scene = Scene::start(Front::Embedded, false);
    let body = scene.store(1, LARGE);
    let peak = || {
        let id = scene.cluster.with_webdfs(ASKED, |process| process.id());
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let before = peak();
    scene.harm(&scene.owners[..2], cut(13 << 20));
    assert!(scene.get().send(scene.address()).expect(200).body == body);
    assert_eq!(scene.harmed(), 2);
    // The kernel counts roughly: the peak may be less than before.
    let grown = peak().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory for a body of {LARGE}");
}
