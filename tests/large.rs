//! Much at once: a very large object, a form of very many files, and very many uploads at the same time.

mod common;

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::{Call, Cluster, Connection, Front, Options, noise, shared, wait_until};

on_both_fronts!(
    two_hundred_uploads_at_once_are_all_stored,
    a_form_of_two_thousand_files_goes_in_in_little_memory,
);

/// A piece of the very large object; it consists of nothing else.
const PIECE: usize = 1 << 20;
const PIECES: usize = 1024;
/// No process may need more private memory than this, in bytes.
const MEMORY_MAX: u64 = 64 << 20;

fn two_hundred_uploads_at_once_are_all_stored(front: Front) {
    const UPLOADS: usize = 200;
    let cluster = shared(front);
    let together = Barrier::new(UPLOADS);
    let body = |number: usize| noise(number as u64, 1000 + number * 997);
    thread::scope(|scope| {
        for number in 0..UPLOADS {
            let (cluster, together) = (&cluster, &together);
            scope.spawn(move || {
                let body = body(number);
                let mut connection = Connection::open(cluster.address(number % 3)).unwrap();
                let call = Call::new("PUT", &format!("/at-once/{number}.jpg"));
                connection.begin(&call.header("Content-Length", &body.len().to_string())).unwrap();
                connection.write(&body[..500]).unwrap();
                // All have begun before one ends.
                together.wait();
                connection.write(&body[500..]).unwrap();
                connection.answer("PUT").unwrap().expect(201);
            });
        }
    });
    for number in 0..UPLOADS {
        let answer = cluster.get((number + 1) % 3, &format!("/at-once/{number}.jpg")).expect(200);
        assert!(answer.body == body(number));
    }
}

fn a_form_of_two_thousand_files_goes_in_in_little_memory(front: Front) {
    const FILES: usize = 2000;
    const FILE_BYTES: usize = 30 << 10;
    let options = Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let bytes = noise(7, FILE_BYTES + FILES);
    let body = |number: usize| &bytes[number..][..FILE_BYTES];
    let dispositions: Vec<_> =
        (0..FILES).map(|number| format!("name=\"files\"; filename=\"{number}.jpg\"")).collect();
    let parts: Vec<_> =
        dispositions.iter().enumerate().map(|(number, text)| (text.as_str(), body(number))).collect();
    let form = Call::form("/many/", &parts);
    let peak = peak_memory(&cluster, || {
        cluster.send(0, &form).expect(201);
    });
    for number in 0..FILES {
        let stored = std::fs::read(cluster.file(0, &format!("/many/{number}.jpg"))).unwrap();
        assert!(stored == body(number), "file {number}");
    }
    println!("peak of private memory: {peak} bytes");
    // The form itself would not fit.
    assert!(peak < MEMORY_MAX / 2, "{peak} bytes");
}

/// The most private memory that any webdfs of the cluster had at any time while `work` was done.
fn peak_memory(cluster: &Cluster, work: impl FnOnce()) -> u64 {
    let (done, peak) = (AtomicBool::new(false), Mutex::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                for node in cluster.present() {
                    let memory = cluster.with_webdfs(node, |webdfs| webdfs.private_memory());
                    let mut peak = peak.lock().unwrap();
                    *peak = memory.unwrap_or_default().max(*peak);
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        // Should the work fail, the watching ends all the same.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _end = End(&done);
        work();
    });
    peak.into_inner().unwrap()
}

/// Checks that a file is the large object.
fn is_large_object(file: &std::path::Path, piece: &[u8]) -> bool {
    let Ok(mut file) = File::open(file) else { return false };
    let mut buffer = vec![0; PIECE];
    (0..PIECES).all(|_| file.read_exact(&mut buffer).is_ok() && buffer == piece)
        && file.read(&mut buffer).is_ok_and(|count| count == 0)
}

#[test]
fn an_object_of_one_gibibyte_goes_in_and_out_in_little_memory() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let piece = noise(1, PIECE);
    let target = "/large/a.bin";
    let uploading = peak_memory(&cluster, || {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        let length = (PIECE * PIECES).to_string();
        connection.begin(&Call::new("PUT", target).header("Content-Length", &length)).unwrap();
        for _ in 0..PIECES {
            connection.write(&piece).unwrap();
        }
        let stored = connection.answer("PUT").unwrap().expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("3/3"));
    });
    assert!((0..3).all(|node| is_large_object(&cluster.file(node, target), &piece)));
    // Through an owner that lacks it, which keeps it meanwhile.
    std::fs::remove_file(cluster.file(1, target)).unwrap();
    let downloading = peak_memory(&cluster, || {
        let mut connection = Connection::open(cluster.address(1)).unwrap();
        connection.begin(&Call::new("GET", target)).unwrap();
        connection.answer_head().unwrap().expect(200);
        for _ in 0..PIECES {
            assert!(connection.read_exactly(PIECE).unwrap() == piece);
        }
    });
    wait_until("it is kept", || is_large_object(&cluster.file(1, target), &piece));
    println!("peak of private memory: {uploading} bytes uploading, {downloading} downloading");
    assert!(
        uploading.max(downloading) < MEMORY_MAX,
        "{uploading} bytes uploading, {downloading} downloading"
    );
}
