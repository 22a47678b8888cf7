//! Signals: the stop that finishes what runs, and the configuration read again.

mod common;

use common::{Answer, Call, Cluster, Connection, Front, Options, noise, wait_until};
use rustix::process::Signal;

on_both_fronts!(
    uploads_and_downloads_that_run_are_finished_before_the_end,
    an_idle_node_ends_at_each_stop_signal,
    an_upload_goes_on_without_an_owner_that_is_told_to_stop,
    who_may_write_changes_without_a_restart,
    a_bad_configuration_is_refused_and_the_old_one_stays,
);

/// Sends a signal to a node's webdfs, and waits until its log says that it was heard.
fn tell(cluster: &Cluster, node: usize, signal: Signal, heard: &str) {
    let before = cluster.log(node).matches(heard).count();
    cluster.with_webdfs(node, |webdfs| webdfs.signal(signal));
    wait_until(&format!("the log says \"{heard}\""), || cluster.log(node).matches(heard).count() > before);
}

/// Begins an upload and sends the first half of its body.
fn half_uploaded(cluster: &Cluster, node: usize, target: &str, body: &[u8]) -> Connection {
    let mut connection = Connection::open(cluster.address(node)).unwrap();
    let call = Call::new("PUT", target).header("Content-Length", &body.len().to_string());
    connection.begin(&call).unwrap();
    connection.write(&body[..body.len() / 2]).unwrap();
    wait_until("the upload is on its way", || cluster.present().all(|node| !cluster.spools(node).is_empty()));
    connection
}

fn finish(mut connection: Connection, body: &[u8]) -> Answer {
    connection.write(&body[body.len() / 2..]).unwrap();
    connection.answer("PUT").unwrap()
}

fn uploads_and_downloads_that_run_are_finished_before_the_end(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    // An object without a path, so that not nginx but webdfs sends it.
    let large = format!("/stop/{}.bin", "x".repeat(300));
    let (download, upload) = (noise(1, 32 << 20), noise(2, 4 << 20));
    cluster.put(0, &large, download.clone()).expect(201);
    let idle = Connection::open(cluster.side_address(0)).unwrap();

    let mut downloading = Connection::open(cluster.address(0)).unwrap();
    downloading.begin(&Call::new("GET", &large)).unwrap();
    let head = downloading.answer_head().unwrap().expect(200);
    let begun = downloading.read_exactly(100_000).unwrap();
    let uploading = half_uploaded(&cluster, 0, "/stop/a.jpg", &upload);
    tell(&cluster, 0, Signal::TERM, "stopping");
    assert!(cluster.is_alive(0), "it has work to finish");

    finish(uploading, &upload).expect(201);
    assert_eq!(head.header("Content-Length"), Some(&*download.len().to_string()));
    let rest = downloading.read_exactly(download.len() - begun.len()).unwrap();
    assert!([begun, rest].concat() == download);
    drop((downloading, idle));
    let ended = cluster.take_webdfs(0).wait();
    assert_eq!(ended.code(), Some(0), "{ended}");
    for node in 1..3 {
        assert!(cluster.get(node, "/stop/a.jpg").expect(200).body == upload);
    }
    cluster.restart(0);
    cluster.wait_until_ready(0);
    assert!(cluster.get(0, "/stop/a.jpg").expect(200).body == upload);
}

fn an_idle_node_ends_at_each_stop_signal(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    for signal in [Signal::TERM, Signal::INT, Signal::USR1] {
        // A connection that is kept alive does not keep it.
        let mut kept = Connection::open(cluster.side_address(1)).unwrap();
        kept.begin(&Call::new("GET", "/missing.jpg")).unwrap();
        kept.answer("GET").unwrap().expect(404);
        let mut webdfs = cluster.take_webdfs(1);
        webdfs.signal(signal);
        let ended = webdfs.wait();
        assert_eq!(ended.code(), Some(0), "{signal:?}: {ended}");
        cluster.restart(1);
        cluster.wait_until_ready(1);
    }
}

fn an_upload_goes_on_without_an_owner_that_is_told_to_stop(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let body = noise(1, 4 << 20);
    let uploading = half_uploaded(&cluster, 0, "/owner/a.jpg", &body);
    tell(&cluster, 1, Signal::TERM, "stopping");
    finish(uploading, &body).expect(201);
    let ended = cluster.take_webdfs(1).wait();
    assert_eq!(ended.code(), Some(0), "{ended}");
    for node in [0, 2] {
        assert!(cluster.get(node, "/owner/a.jpg").expect(200).body == body);
    }
    cluster.restart(1);
    cluster.wait_until_ready(1);
    wait_until("the owner has it", || {
        std::fs::read(cluster.file(1, "/owner/a.jpg")).is_ok_and(|bytes| bytes == body)
    });
}

fn who_may_write_changes_without_a_restart(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let body = noise(1, 1 << 20);
    cluster.put(0, "/reload/a.jpg", "a").expect(201);
    let uploading = half_uploaded(&cluster, 0, "/reload/b.jpg", &body);
    cluster.write_config(0, r#"["10.0.0.0/8"]"#);
    tell(&cluster, 0, Signal::HUP, "the configuration was read again");
    cluster.put(0, "/reload/a.jpg", "x").expect(403);
    cluster.delete(0, "/reload/a.jpg").expect(403);
    assert_eq!(cluster.get(0, "/reload/a.jpg").expect(200).text(), "a");
    // What had begun under the old settings ends under them; other nodes are not asked.
    finish(uploading, &body).expect(201);
    cluster.put(1, "/reload/a.jpg", "from elsewhere").expect(204);
    cluster.write_config(0, cluster.options.allow);
    tell(&cluster, 0, Signal::HUP, "the configuration was read again");
    cluster.put(0, "/reload/a.jpg", "x").expect(204);
    assert!(cluster.is_alive(0));
}

fn a_bad_configuration_is_refused_and_the_old_one_stays(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let good = std::fs::read_to_string(cluster.config(0)).unwrap();
    let bad = [
        ("not TOML at all [", "node.toml"),
        (&*good.replace("allow = ", "alow = "), "alow"),
        (&*good.replace("\"none\"", "\"sometimes\""), "durability"),
        (&*good.replace("127.0.0.0/8", "127.0.0.0/99"), "allow"),
        (&*good.replace("img1", "img2"), "restart webdfs"),
        (&*good.replace("root = \"root\"", "root = \"elsewhere\""), "restart webdfs"),
        (&*good.replace("cluster.toml", "missing.toml"), "missing.toml"),
    ];
    for (text, reason) in bad {
        std::fs::write(cluster.config(0), text).unwrap();
        tell(&cluster, 0, Signal::HUP, "the old configuration stays");
        let log = cluster.log(0);
        let said = log.lines().rev().find(|line| line.contains("the old configuration stays")).unwrap();
        assert!(said.contains(reason), "{reason}: {said}");
        cluster.put(0, "/bad/a.jpg", text).expect(if text.starts_with("not") { 201 } else { 204 });
        assert_eq!(cluster.get(1, "/bad/a.jpg").expect(200).text(), text);
    }
    assert!(cluster.is_alive(0));
}
