use std::path::PathBuf;

use crate::common::{Call, Cluster, Connection, Front, Options, wait_until};
use crate::on_both_fronts;

on_both_fronts!(
    who_has_uploaded_too_much_waits_and_others_do_not,
    uploads_at_the_same_time_are_counted_until_they_end,
);

fn one_node(limits: &'static str) -> Options {
    Options { write: limits, ..Options::one_node(|_| ()) }
}

fn who_has_uploaded_too_much_waits_and_others_do_not(front: Front) {
    let cluster = Cluster::start(front, one_node("[limits]\nbytes_per_second = \"1KiB\""));
    cluster.put(0, "/large.jpg", vec![0; 1 << 20]).expect(201);
    let refused = cluster.put(0, "/next.jpg", "x").expect(429);
    assert_eq!(refused.text(), "Too Many Requests\n");
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=1024).contains(&seconds), "{seconds}");
    cluster.get(0, "/next.jpg").expect(404);
    cluster.get(0, "/large.jpg").expect(200);
    cluster.delete(0, "/large.jpg").expect(204);
}

fn uploads_at_the_same_time_are_counted_until_they_end(front: Front) {
    let cluster = Cluster::start(front, one_node("[limits]\nuploads = 1"));
    let slow = Call::new("PUT", "/slow.jpg").body(vec![0; 1 << 20]);
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin_cut(&slow, 1 << 19).unwrap();
    let is_large = |path: &PathBuf| path.metadata().is_ok_and(|found| found.len() > 1 << 16);
    wait_until("the first upload runs", || cluster.spools(0).iter().any(is_large));
    let refused = cluster.put(0, "/next.jpg", "x").expect(429);
    assert_eq!(refused.header("Retry-After"), Some("1"));
    connection.write(&vec![0; 1 << 19]).unwrap();
    assert_eq!(connection.answer("PUT").unwrap().status, 201);
    wait_until("the first upload has ended", || cluster.put(0, "/next.jpg", "x").status < 300);
}
