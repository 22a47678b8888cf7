//! Many clients that ask for one name which is not there: the other nodes hear little of it.

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Call, Cluster, Connection, Detour, Front, Options, Way, wait_until};

on_both_fronts!(
    each_owner_is_asked_once_in_100_ms_for_a_name_that_is_missing,
    each_owner_is_asked_once_in_100_ms_for_a_name_that_too_few_can_judge,
    clients_that_do_not_wait_for_the_answer_have_nobody_asked_anew,
    quorum_reads_of_one_name_at_the_same_time_share_what_is_asked,
);

/// How long what was found is believed.
const MEMORY: Duration = Duration::from_millis(100);
const CLIENTS: usize = 16;
/// Requests of each.
const REQUESTS: usize = 100;
/// What one node asks another for a copy.
const QUESTION: &[u8] = b"/_webdfs/v1/object/storm/";

struct Scene {
    cluster: Cluster,
    detours: Vec<Detour>,
}

impl Scene {
    fn start(front: Front) -> Self {
        Self::begin(front, Options::default())
    }

    fn begin(front: Front, options: Options) -> Self {
        let options = Options { nodes: 4, detour: &[0, 1, 2, 3], deliver: "remote = \"proxy\"", ..options };
        let cluster = Cluster::launch(front, options);
        let open = |node| Detour::open(cluster.detour_address(node), Way::to(cluster.address(node)));
        let detours = (0..4).map(open).collect();
        for node in cluster.present() {
            cluster.wait_until_ready(node);
        }
        Self { cluster, detours }
    }

    /// All clients ask the first node for one name, and get this answer each time.
    fn storm(&self, target: &str, status: u16) {
        self.assert_bounded(|| {
            std::thread::scope(|scope| {
                for _ in 0..CLIENTS {
                    scope.spawn(|| ask_on_and_on(self.cluster.address(0), target, status));
                }
            });
        });
    }

    /// Checks that no node is asked more than once in 100 ms while this goes on.
    fn assert_bounded(&self, act: impl FnOnce()) {
        self.detours.iter().for_each(|detour| detour.listen_for(QUESTION));
        let begun = Instant::now();
        act();
        // A look-up begins no sooner than this time after the one before it has ended.
        let most = 1 + usize::try_from(begun.elapsed().as_millis() / MEMORY.as_millis()).unwrap();
        let heard: Vec<_> = self.detours.iter().map(Detour::heard).collect();
        assert!(heard.iter().all(|heard| *heard <= most), "{heard:?}, more than {most} of a node");
        assert!(heard.iter().any(|heard| *heard > 0), "nobody was asked");
    }
}

fn ask_on_and_on(to: SocketAddr, target: &str, status: u16) {
    let mut connection = Connection::open(to).unwrap();
    for _ in 0..REQUESTS {
        let call = Call::new("GET", target);
        // A web server closes kept connections now and then.
        let answer = call.send_on(&mut connection).unwrap_or_else(|_| {
            connection = Connection::open(to).unwrap();
            call.send_on(&mut connection).unwrap()
        });
        answer.expect(status);
    }
}

fn each_owner_is_asked_once_in_100_ms_for_a_name_that_is_missing(front: Front) {
    let scene = Scene::start(front);
    for (folder, asked) in [("/storm/beside", false), ("/storm/owner", true)] {
        let target = scene.cluster.path_owned(folder, |owners| owners.contains(&0) == asked);
        scene.storm(&target, 404);
        // One who lacks it is enough to know, where it is an owner itself; the others are asked all the same.
        let down = scene.cluster.owners(&target).into_iter().find(|node| *node != 0).unwrap();
        scene.cluster.kill(down);
        scene.storm(&target, 404);
        scene.cluster.restart(down);
        scene.cluster.wait_until_ready(down);
    }
}

fn each_owner_is_asked_once_in_100_ms_for_a_name_that_too_few_can_judge(front: Front) {
    let scene = Scene::start(front);
    let target = scene.cluster.path_owned("/storm/few", |owners| !owners.contains(&0));
    for down in &scene.cluster.owners(&target)[..2] {
        scene.cluster.kill(*down);
    }
    scene.storm(&target, 503);
}

fn clients_that_do_not_wait_for_the_answer_have_nobody_asked_anew(front: Front) {
    let scene = Scene::start(front);
    let target = scene.cluster.path_owned("/storm/hurry", |owners| !owners.contains(&0));
    // So that everybody who asks is there before there is an answer.
    scene.cluster.owners(&target).into_iter().for_each(|owner| scene.cluster.pause(owner));
    scene.assert_bounded(|| {
        for _ in 0..CLIENTS * REQUESTS / 4 {
            let mut connection = Connection::open(scene.cluster.address(0)).unwrap();
            connection.begin(&Call::new("GET", &target)).unwrap();
        }
        // One waits: a look-up may end with its clients before it has asked anybody.
        let mut patient = Connection::open(scene.cluster.address(0)).unwrap();
        patient.begin(&Call::new("GET", &target)).unwrap();
        wait_until("somebody was asked", || scene.detours.iter().any(|detour| detour.heard() > 0));
    });
    scene.cluster.owners(&target).into_iter().for_each(|owner| scene.cluster.resume(owner));
}

/// Nothing is remembered there, so that each answer is as new as its question: what is asked is shared by who waits.
fn quorum_reads_of_one_name_at_the_same_time_share_what_is_asked(front: Front) {
    const WAITING: usize = 40;
    let scene =
        Scene::begin(front, Options { top: "read = \"quorum\"", static_first: false, ..Options::default() });
    for (folder, status) in [("/storm/missing", 404), ("/storm/there", 200)] {
        let target = scene.cluster.path_owned(folder, |owners| !owners.contains(&0));
        if status == 200 {
            scene.cluster.put(0, &target, "there").expect(201);
        }
        // With two of the three owners silent nobody can be told anything.
        let owners = scene.cluster.owners(&target);
        let silent = &owners[..2];
        silent.iter().for_each(|owner| scene.cluster.pause(*owner));
        scene.detours.iter().for_each(|detour| detour.listen_for(b"/_webdfs/v1/ask/storm/"));
        let mut clients: Vec<_> =
            (0..WAITING).map(|_| Connection::open(scene.cluster.address(0)).unwrap()).collect();
        clients.iter_mut().for_each(|client| client.begin(&Call::new("GET", &target)).unwrap());
        wait_until("an owner that answers was asked", || {
            scene.detours.iter().any(|detour| detour.heard() > 0)
        });
        silent.iter().for_each(|owner| scene.cluster.resume(*owner));
        for client in &mut clients {
            client.answer("GET").unwrap().expect(status);
        }
        let heard: Vec<_> = scene.detours.iter().map(Detour::heard).collect();
        // Once by the first of them, and once by the first of those who came meanwhile; a few may be late.
        assert!(heard.iter().all(|heard| *heard < WAITING / 4), "{folder}: {heard:?}");
    }
}
