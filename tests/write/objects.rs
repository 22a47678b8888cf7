use std::os::unix::fs::MetadataExt;

use crate::common::{Cluster, Front, Options, assert_missing, assert_stored, noise, shared, wait_until};
use crate::on_both_fronts;

on_both_fronts!(
    the_first_put_creates_and_the_next_replaces,
    every_replica_is_a_plain_file_with_the_same_bytes_and_time,
    what_is_deleted_is_gone_everywhere_and_can_be_put_again,
    a_replacement_of_equal_size_has_another_etag,
    synced_writes_work_like_others,
    writers_of_one_name_end_up_with_one_object,
    names_live_below_the_prefix,
);

fn the_first_put_creates_and_the_next_replaces(front: Front) {
    let cluster = shared(front);
    let first = cluster.put(0, "/twice/a.jpg", "first").expect(201);
    let second = cluster.put(1, "/twice/a.jpg", "the second").expect(204);
    for answer in [&first, &second] {
        assert_eq!(answer.header("Webdfs-Replicas"), Some("3/3"));
        assert!(answer.etag().starts_with('"') && answer.header("Last-Modified").is_some(), "{answer}");
        assert!(answer.body.is_empty());
    }
    assert_ne!(first.etag(), second.etag());
    for node in 0..3 {
        let answer = cluster.get(node, "/twice/a.jpg").expect(200);
        assert_eq!((answer.text().as_str(), answer.etag()), ("the second", second.etag()));
    }
}

fn every_replica_is_a_plain_file_with_the_same_bytes_and_time(front: Front) {
    let cluster = shared(front);
    let body = noise(1, 123_456);
    let stored = cluster.put(0, "/plain/some/folder/a.jpg", body.clone()).expect(201);
    let mut times = Vec::new();
    for node in 0..3 {
        let file = cluster.file(node, "/plain/some/folder/a.jpg");
        assert!(std::fs::read(&file).unwrap() == body);
        let about = file.metadata().unwrap();
        assert_eq!(about.mode() & 0o7777, 0o644);
        assert_eq!(file.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o755);
        assert_eq!(stored.etag(), format!("\"{:x}-{:x}\"", about.mtime(), about.size()));
        times.push((about.mtime(), about.mtime_nsec()));
    }
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    for node in 0..3 {
        let private = cluster.root(node).join(".webdfs").metadata().unwrap();
        assert_eq!(private.mode() & 0o7777, 0o700);
    }
}

fn what_is_deleted_is_gone_everywhere_and_can_be_put_again(front: Front) {
    let cluster = shared(front);
    let target = "/deleted/some/a.jpg";
    for round in 0..3 {
        let body = noise(round, 3000);
        let stored = cluster.put(0, target, body.clone()).expect(201);
        assert_stored(&cluster, target, &body);
        let deleted = cluster.delete(1, target).expect(204);
        assert!(deleted.body.is_empty() && deleted.header("ETag") != Some(stored.etag()));
        assert_missing(&cluster, target);
        cluster.delete(2, target).expect(404);
        // Folders go with their last file.
        assert!((0..3).all(|node| !cluster.file(node, "/deleted/some").exists()));
    }
    cluster.delete(0, "/deleted/never-was.jpg").expect(404);
}

fn a_replacement_of_equal_size_has_another_etag(front: Front) {
    let cluster = shared(front);
    let mut etags = Vec::new();
    for round in 0..4 {
        let stored = cluster.put(round % 3, "/equal-size/a.jpg", format!("round {round}"));
        etags.push(stored.etag().to_owned());
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 4);
    assert_stored(&cluster, "/equal-size/a.jpg", b"round 3");
}

fn synced_writes_work_like_others(front: Front) {
    let cluster = Cluster::start(front, Options { durability: "sync", ..Options::default() });
    let body = noise(1, 200_000);
    cluster.put(0, "/some/folder/a.jpg", body.clone()).expect(201);
    assert_stored(&cluster, "/some/folder/a.jpg", &body);
    cluster.put(1, "/some/folder/a.jpg", "replaced").expect(204);
    assert_stored(&cluster, "/some/folder/a.jpg", b"replaced");
    cluster.delete(2, "/some/folder/a.jpg").expect(204);
    assert_missing(&cluster, "/some/folder/a.jpg");
}

fn writers_of_one_name_end_up_with_one_object(front: Front) {
    let cluster = shared(front);
    for round in 0..10 {
        let target = format!("/race/{round}.jpg");
        std::thread::scope(|scope| {
            for writer in 0..9 {
                let (cluster, target) = (&cluster, &target);
                scope.spawn(move || {
                    let body = format!("writer {writer} was here");
                    let answer = match writer {
                        8 => cluster.delete(2, target),
                        _ => cluster.put(writer % 3, target, body),
                    };
                    assert!(matches!(answer.status, 201 | 204 | 404), "{answer}");
                });
            }
        });
        // The stragglers that nobody waited for, too.
        let own = |node: usize| std::fs::read(cluster.file(node, &target)).ok();
        wait_until("all nodes hold the same", || own(0) == own(1) && own(1) == own(2));
        let answers: Vec<_> = (0..3).map(|node| cluster.get(node, &target)).collect();
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (answers[0].status, &answers[0].body));
            assert_eq!(answer.header("ETag"), answers[0].header("ETag"));
        }
        let last = cluster.put(1, &target, "the last word");
        assert!(matches!(last.status, 201 | 204), "{last}");
        assert_stored(&cluster, &target, b"the last word");
    }
}

fn names_live_below_the_prefix(front: Front) {
    let cluster = Cluster::start(front, Options { prefix: "/images/", ..Options::default() });
    cluster.put(0, "/images/some/a.jpg", "a").expect(201);
    for node in 0..3 {
        if front == Front::Embedded {
            assert_eq!(cluster.get(node, "/images/some/a.jpg").expect(200).text(), "a");
            cluster.get(node, "/some/a.jpg").expect(404);
        }
        assert!(cluster.has_file(node, "/some/a.jpg"));
    }
    for target in ["/a.jpg", "/imagesa.jpg", "/images/../a.jpg", "/images"] {
        let answer = cluster.put(1, target, "x");
        assert!(matches!(answer.status, 404 | 405), "{target}: {answer}");
    }
}
