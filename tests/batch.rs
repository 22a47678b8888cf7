//! Many small copies that travel between nodes in one message: all that arrive are replicas like any other, and a message
//! that is wrong or cut off leaves nothing.

mod common;

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use common::process::Process;
use common::{
    Answer, Cluster, Connection, Front, Options, Seal, assert_nothing, map_of, noise, shared, signed, signer,
    wait_until,
};
use sha2::{Digest, Sha256};
use webdfs::cluster::View;
use webdfs::name::ObjectName;
use webdfs::peer::batch::{BATCH_FILE_BYTES_MAX, BatchAnswer, CopyOutcome, ListDigest};
use webdfs::peer::client::{PeerClient, PeerError};
use webdfs::peer::message::Operation;
use webdfs::response::ByteStream;
use webdfs::store::{BATCH_FILES_MAX, BatchCopy, Outcome};
use webdfs::version::Version;

on_both_fronts!(
    copies_sent_together_are_replicas_like_any_other,
    a_batch_that_is_cut_off_leaves_nothing,
    a_list_that_was_not_signed_is_refused,
    a_batch_of_another_length_than_its_list_says_is_refused,
    a_copy_whose_bytes_are_others_is_refused_alone,
    a_batch_that_is_too_large_is_refused,
    a_version_from_the_future_is_refused_alone,
    a_node_without_room_refuses_a_batch,
);

/// What a process may have open where nothing else is said is 1,024 files; the test has it at fewer still.
const FILES_OPEN: usize = 512;

/// A copy with its bytes.
type Copy = (BatchCopy, Vec<u8>);

/// A copy of the present, of bytes that depend on its name.
fn copy(path: &str, length: usize) -> Copy {
    let bytes = noise(path.len() as u64 + length as u64, length);
    let copy = BatchCopy {
        name: ObjectName::from_bytes(path.trim_start_matches('/').as_bytes()).unwrap(),
        version: webdfs::clock::now(),
        crc32: crc32fast::hash(&bytes),
        size: length as u64,
    };
    (copy, bytes)
}

/// Three of them in a folder.
fn three(folder: &str) -> Vec<Copy> {
    [100, 0, 70_000].map(|length| copy(&format!("{folder}/{length}.jpg"), length)).into()
}

/// Sends copies as the second node would.
fn send(cluster: &Cluster, to: usize, copies: Vec<Copy>) -> Result<Vec<CopyOutcome>, PeerError> {
    let own = cluster.name(1).parse().unwrap();
    let map = View::new(&own, Arc::new(map_of(cluster)), Vec::new()).unwrap();
    let node = map.index_of(&cluster.name(to).parse().unwrap()).unwrap();
    let (copies, bodies): (Vec<_>, Vec<_>) =
        copies.into_iter().map(|(copy, bytes)| (copy, Ok(Bytes::from(bytes)))).unzip();
    let bodies: ByteStream = Box::pin(futures_util::stream::iter(bodies));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let peers = PeerClient::new(own, signer(), None);
        peers.batch(&map, node, copies, bodies).await
    })
}

/// A message as it stands: its operation and its body.
fn message(copies: &[Copy]) -> (Operation, Vec<u8>) {
    let list = serde_json::to_vec(&copies.iter().map(|(copy, _)| copy).collect::<Vec<_>>()).unwrap();
    let mut body = u32::try_from(list.len()).unwrap().to_be_bytes().to_vec();
    body.extend(&list);
    copies.iter().for_each(|(_, bytes)| body.extend(bytes));
    (Operation::Batch(digest(&list)), body)
}

fn digest(list: &[u8]) -> ListDigest {
    hex::encode(Sha256::digest(list)).parse().unwrap()
}

fn deliver(cluster: &Cluster, operation: &Operation, body: &[u8]) -> Answer {
    cluster.send(0, &signed(cluster, 0, operation, body, Seal::default()))
}

fn outcomes(answer: &Answer) -> Vec<CopyOutcome> {
    serde_json::from_slice::<BatchAnswer>(&answer.body).unwrap().outcomes
}

const DONE: CopyOutcome = CopyOutcome::Held(Outcome::Done);

/// Checks that a node has exactly this copy as a file.
#[track_caller]
fn assert_held(cluster: &Cluster, node: usize, (copy, bytes): &Copy) {
    let file = cluster.file(node, &copy.name.to_string());
    assert!(std::fs::read(&file).unwrap() == *bytes, "the bytes of {}", copy.name);
    let about = file.metadata().unwrap();
    let mtime = about.mtime() as u64 * 1_000_000_000 + about.mtime_nsec() as u64;
    assert_eq!(mtime, copy.version.nanos(), "the version of {}", copy.name);
}

fn copies_sent_together_are_replicas_like_any_other(front: Front) {
    let cluster = shared(front);
    let mut copies = three("/batch/together");
    copies.push(copy("/batch/together/ü 100%.jpg", 5));
    assert_eq!(send(&cluster, 0, copies.clone()).unwrap(), vec![DONE; copies.len()]);
    for copy in &copies {
        assert_held(&cluster, 0, copy);
        let answer = cluster.get(0, &format!("/{}", copy.0.name.url_path())).expect(200);
        assert!(answer.body == copy.1, "{answer}");
    }
    assert!(cluster.spools(0).iter().all(|path| !path.to_string_lossy().ends_with("-batch")));
    // Once more, and a version from before.
    let mut again = copies.clone();
    again[0].0.version = Version::from_nanos(again[0].0.version.nanos() - 1);
    let mut expected = vec![CopyOutcome::Held(Outcome::AlreadyHeld); copies.len()];
    expected[0] = CopyOutcome::Held(Outcome::HoldsNewer);
    assert_eq!(send(&cluster, 0, again).unwrap(), expected);
    copies.iter().for_each(|copy| assert_held(&cluster, 0, copy));
    // An object that is written by a client afterwards wins.
    cluster.put(1, "/batch/together/100.jpg", "newer").expect(204);
    let late = send(&cluster, 0, copies[..1].to_vec()).unwrap();
    assert_eq!(late, [CopyOutcome::Held(Outcome::HoldsNewer)]);
    assert_eq!(cluster.get(0, "/batch/together/100.jpg").expect(200).text(), "newer");
}

fn a_batch_that_is_cut_off_leaves_nothing(front: Front) {
    let cluster = shared(front);
    let copies = three("/batch/cut");
    let (operation, body) = message(&copies);
    let list_end = body.len() - 70_100;
    for length in [0, 3, 4, 20, list_end, list_end + 50, list_end + 100, body.len() - 1] {
        let whole = signed(&cluster, 0, &operation, &body, Seal::default());
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin_cut(&whole, length).unwrap();
        drop(connection);
    }
    copies.iter().for_each(|(copy, _)| assert_nothing(&cluster, &format!("/{}", copy.name.url_path())));
    // The same message, whole.
    assert_eq!(outcomes(&deliver(&cluster, &operation, &body).expect(200)), vec![DONE; 3]);
    copies.iter().for_each(|copy| assert_held(&cluster, 0, copy));
}

#[track_caller]
fn assert_refused(cluster: &Cluster, copies: &[Copy], answer: Answer, status: u16, reason: &str) {
    assert!(answer.clone().expect(status).text().contains(reason), "{answer}");
    copies.iter().for_each(|(copy, _)| assert_nothing(cluster, &format!("/{}", copy.name.url_path())));
}

fn a_list_that_was_not_signed_is_refused(front: Front) {
    let cluster = shared(front);
    let copies = three("/batch/unsigned");
    let (_, body) = message(&copies);
    let other = Operation::Batch(digest(b"[]"));
    assert_refused(&cluster, &copies, deliver(&cluster, &other, &body), 400, "not the one that was signed");
    // A good message under the signature of another.
    let (operation, _) = message(&copies);
    let call = signed(&cluster, 0, &operation, &body, Seal::default());
    let mut forged = common::Call::new("PUT", &format!("/_webdfs/v1/{}", other.path())).body(body);
    for (name, value) in call.headers() {
        forged = forged.header(name, value);
    }
    assert_refused(&cluster, &copies, cluster.send(0, &forged), 403, "");
    // Signed, and no list.
    for strange in ["", "{}", "[{}]", "[7]", "\u{1}", r#"[{"name":"../x","version":1,"crc32":0,"size":0}]"#] {
        let mut body = u32::try_from(strange.len()).unwrap().to_be_bytes().to_vec();
        body.extend(strange.bytes());
        let operation = Operation::Batch(digest(strange.as_bytes()));
        deliver(&cluster, &operation, &body).expect(400);
    }
}

fn a_batch_of_another_length_than_its_list_says_is_refused(front: Front) {
    let cluster = shared(front);
    let copies = three("/batch/length");
    let (operation, body) = message(&copies);
    let longer = [&body[..], b"!"].concat();
    for wrong in [&body[..body.len() - 1], &body[..10], &body[..2], b"", &longer] {
        assert_refused(&cluster, &copies, deliver(&cluster, &operation, wrong), 400, "another length");
    }
}

fn a_copy_whose_bytes_are_others_is_refused_alone(front: Front) {
    let cluster = shared(front);
    let mut copies = three("/batch/crc32");
    copies[2].1[60_000] ^= 1;
    let outcomes = send(&cluster, 0, copies.clone()).unwrap();
    assert_eq!(outcomes[..2], [DONE, DONE]);
    assert!(matches!(&outcomes[2], CopyOutcome::Refused(_)), "{outcomes:?}");
    copies[..2].iter().for_each(|copy| assert_held(&cluster, 0, copy));
    assert_nothing(&cluster, "/batch/crc32/70000.jpg");
}

fn a_batch_that_is_too_large_is_refused(front: Front) {
    let cluster = shared(front);
    let many: Vec<_> =
        (0..=BATCH_FILES_MAX).map(|number| copy(&format!("/batch/large/{number}"), 0)).collect();
    let large = usize::try_from(BATCH_FILE_BYTES_MAX).unwrap() + 1;
    for copies in [many, vec![copy("/batch/large/one", large)]] {
        let (operation, body) = message(&copies);
        // What comes after the list is not needed to refuse it.
        let body = &body[..body.len().min(100_000)];
        assert_refused(&cluster, &copies[..1], deliver(&cluster, &operation, body), 413, "at most");
    }
    let (operation, _) = message(&[]);
    deliver(&cluster, &operation, &u32::MAX.to_be_bytes()).expect(413);
}

fn a_version_from_the_future_is_refused_alone(front: Front) {
    const TWO_DAYS: u64 = 48 * 3600 * 1_000_000_000;
    let cluster = shared(front);
    let mut copies = three("/batch/future");
    copies[0].0.version = Version::from_nanos(copies[0].0.version.nanos() + TWO_DAYS);
    let outcomes = send(&cluster, 0, copies.clone()).unwrap();
    assert_eq!(outcomes[1..], [DONE, DONE]);
    let CopyOutcome::Refused(reason) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("clock") && reason.contains("img2"), "{reason}");
    assert_nothing(&cluster, "/batch/future/100.jpg");
}

fn a_node_without_room_refuses_a_batch(front: Front) {
    let cluster = Cluster::start(front, Options { reserve: "8000000TiB", ..Options::default() });
    let copies = three("/batch/room");
    let error = send(&cluster, 0, copies.clone()).expect_err("there is no room");
    assert_eq!(error.refusal().map(|status| status.as_u16()), Some(507), "{error}");
    copies.iter().for_each(|(copy, _)| assert_nothing(&cluster, &format!("/{}", copy.name.url_path())));
}

#[test]
fn batches_of_many_nodes_at_once_leave_files_that_others_can_open() {
    const BATCHES: usize = 5;
    const FILES: usize = 250;
    const SIZE: usize = 8 << 10;
    // So many are handed to the disk while the rest of their batch is on its way.
    const WRITTEN: usize = (1 << 20) / SIZE;
    let cluster = Cluster::start(Front::Embedded, Options::default());
    cluster.kill_webdfs(0);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -Sn {FILES_OPEN} && exec \"$0\" serve --config \"$1\""));
    command.arg(env!("CARGO_BIN_EXE_webdfs")).arg(cluster.config(0));
    let log = cluster.root(0).parent().unwrap().join("limited.log");
    let _limited = Process::start(&mut command, &log);
    cluster.wait_until_ready(0);

    let begun: Vec<_> = (0..BATCHES)
        .map(|batch| {
            let path = |number: usize| format!("/batch/open/{batch}/{number:03}.jpg");
            let copies: Vec<_> = (0..FILES).map(|number| copy(&path(number), SIZE)).collect();
            let (operation, body) = message(&copies);
            let call = signed(&cluster, 0, &operation, &body, Seal::default());
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            connection.begin_cut(&call, body.len() - 1).unwrap();
            (connection, body)
        })
        .collect();
    wait_until("all batches are on their way", || cluster.spools(0).len() >= BATCHES * WRITTEN);
    let stored = cluster.put(0, "/batch/open/meanwhile.jpg", "x").expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("3/3"), "{stored}");
    for (mut connection, body) in begun {
        connection.write(&body[body.len() - 1..]).unwrap();
        assert_eq!(outcomes(&connection.answer("PUT").unwrap().expect(200)), vec![DONE; FILES]);
    }
}
