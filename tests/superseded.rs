//! Copies that must not be believed: older than a tombstone, rotten, or changed since they were read.

mod common;

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use common::{Call, Cluster, Front, Options, noise, wait_until};

on_both_fronts!(
    a_deleted_object_is_not_fetched_from_an_owner_that_missed_the_deletion,
    a_rotten_object_is_neither_copied_nor_moved,
    an_object_larger_than_what_clients_may_store_still_moves_between_nodes,
    a_page_of_another_site_may_not_write,
    copies_and_moves_heed_conditions_on_what_they_read,
);

/// Puts a file back as it was, times included, as if its node had never heard of what happened since.
fn put_back(file: &Path, bytes: &[u8], times: FileTimes) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
    File::options().write(true).open(file).unwrap().set_times(times).unwrap();
}

fn times_of(file: &Path) -> FileTimes {
    FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap())
}

fn a_deleted_object_is_not_fetched_from_an_owner_that_missed_the_deletion(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let (path, body) = ("/deleted/cat.jpg", noise(1, 5000));
    cluster.put(0, path, body.clone()).expect(201);
    wait_until("every owner has the file", || (0..3).all(|node| cluster.has_file(node, path)));
    let times = times_of(&cluster.file(2, path));
    cluster.delete(0, path).expect(204);
    wait_until("no owner has the file", || (0..3).all(|node| !cluster.has_file(node, path)));

    put_back(&cluster.file(2, path), &body, times);
    std::fs::remove_dir_all(cluster.root(2).join(".webdfs/tombstones")).unwrap();
    std::fs::create_dir(cluster.root(2).join(".webdfs/tombstones")).unwrap();
    for node in [0, 1] {
        cluster.get(node, path).expect(404);
        cluster.head(node, path).expect(404);
        let copy = Call::new("COPY", path).header("Destination", "/deleted/copy.jpg");
        cluster.send(node, &copy).expect(404);
        assert!(!cluster.has_file(node, path), "node {node} took the deleted copy back");
    }
    cluster.get(0, "/deleted/copy.jpg").expect(404);
}

fn a_rotten_object_is_neither_copied_nor_moved(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let (path, body) = ("/rotten/cat.jpg", noise(2, 100_000));
    cluster.put(0, path, body).expect(201);
    wait_until("every owner has the file", || (0..3).all(|node| cluster.has_file(node, path)));
    for node in 0..3 {
        let file = cluster.file(node, path);
        let times = times_of(&file);
        let mut rotten = OpenOptions::new().write(true).open(&file).unwrap();
        rotten.seek(SeekFrom::Start(70_000)).unwrap();
        rotten.write_all(b"rot").unwrap();
        rotten.set_times(times).unwrap();
    }
    for method in ["COPY", "MOVE"] {
        let call = Call::new(method, path).header("Destination", "/rotten/new.jpg");
        cluster.send(1, &call).expect(503);
        cluster.get(1, "/rotten/new.jpg").expect(404);
        assert!((0..3).all(|node| cluster.has_file(node, path)), "{method} left the original alone");
    }
}

fn an_object_larger_than_what_clients_may_store_still_moves_between_nodes(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    cluster.kill(2);
    let (path, body) = ("/large/cat.jpg", noise(3, 300_000));
    cluster.put(0, path, body.clone()).expect(201);
    let config = cluster.config(2);
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("[write]\n"), "{text}");
    std::fs::write(&config, text.replace("[write]\n", "[write]\nobject_max = \"1KiB\"\n")).unwrap();
    cluster.restart(2);
    wait_until("node 2 has the file it missed", || cluster.has_file(2, path));
    assert_eq!(cluster.get(2, path).expect(200).body, body);
    cluster.put(2, "/large/dog.jpg", body).expect(413);
}

fn a_page_of_another_site_may_not_write(front: Front) {
    let cluster = common::shared(front);
    for (name, value) in
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example"), ("Origin", "null")]
    {
        let call = Call::new("PUT", "/cross/cat.jpg").header(name, value).body(*b"x");
        cluster.send(0, &call).expect(403);
    }
    cluster.get(0, "/cross/cat.jpg").expect(404);
}

fn copies_and_moves_heed_conditions_on_what_they_read(front: Front) {
    let cluster = common::shared(front);
    let etag = cluster.put(0, "/conditions/a.jpg", *b"a").expect(201).etag().to_owned();
    for method in ["COPY", "MOVE"] {
        let call = |etag: &str| {
            Call::new(method, "/conditions/a.jpg")
                .header("Destination", "/conditions/b.jpg")
                .header("If-Match", etag)
        };
        cluster.send(1, &call("\"other\"")).expect(412);
        cluster.get(1, "/conditions/b.jpg").expect(404);
        cluster.send(1, &call(&etag)).expect(201);
        cluster.delete(1, "/conditions/b.jpg").expect(204);
    }
    cluster.get(1, "/conditions/a.jpg").expect(404);
}
