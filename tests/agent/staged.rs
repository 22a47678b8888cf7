//! Real commands, and an agent in this process whose work ends when the test says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use webdfs::agent::tasks::{Occasion, Report, Task, Tasks, Unfinished};
use webdfs::agent::throttle::Throttle;
use webdfs::agent::{Agent, GossipSettings, Hearsay, Mandate, Works};
use webdfs::config;
use webdfs::maps::Maps;
use webdfs::peer::client::PeerClient;
use webdfs::peer::sign::Signer;
use webdfs::store::Store;

use crate::commands::{Ran, end_of, hears, run, start};
use crate::common::process::Dir;
use crate::common::wait_until;

#[derive(Debug)]
struct Staged {
    begun: mpsc::UnboundedSender<(Occasion, Report)>,
    ends: Mutex<mpsc::UnboundedReceiver<Result<(), Unfinished>>>,
}

impl Task for Staged {
    fn run(&self, occasion: Occasion, report: Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        self.begun.send((occasion, report)).expect("the test goes on");
        Box::pin(async { self.ends.lock().await.recv().await.expect("the test goes on") })
    }
}

/// A root of its own, with an agent.
struct Stage {
    dir: Dir,
    runtime: Runtime,
    agent: Agent,
    running: Option<(watch::Sender<bool>, JoinHandle<Option<Mandate>>)>,
    begun: mpsc::UnboundedReceiver<(Occasion, Report)>,
    end: mpsc::UnboundedSender<Result<(), Unfinished>>,
}

impl Stage {
    fn start() -> Self {
        let dir = Dir::new();
        let map = "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\n\
                   node = [{ name = \"img1\", url = \"http://127.0.0.1:9/_webdfs\" }]\n";
        fs::write(dir.join("cluster.toml"), map).unwrap();
        // As if the first pass had been: only the scrub is staged, and it is due only when asked for.
        let text = "name = \"img1\"\nroot = \"root\"\n[agent]\nscrub_every = \"never\"\n";
        fs::write(dir.join("node.toml"), text).unwrap();
        fs::write(dir.join("secret"), "0123456789abcdef0123456789abcdef").unwrap();
        fs::set_permissions(dir.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
        fs::create_dir(dir.join("root")).unwrap();
        let settings = config::load(&dir.join("node.toml")).unwrap();
        let store = Arc::new(Store::open(webdfs::node::store_settings(&settings)).unwrap());
        let maps = Arc::new(Maps::open(&settings.name, Arc::clone(&store), &settings.map).unwrap());
        let ((begin, begun), (end, ends)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let staged: Arc<dyn Task> = Arc::new(Staged { begun: begin, ends: ends.into() });
        let tasks = Tasks::default();
        let agent = Agent {
            exclude: webdfs::name::Exclude::default(),
            walks: webdfs::reconcile::Walks::default(),
            map: maps.view(),
            maps,
            store,
            peers: PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None),
            elected: watch::Sender::new(false),
            throttle: Throttle::new(None, settings.agent.concurrency, tasks.orders()),
            tasks,
            works: Works { reconcile: None, scrub: Some(staged) },
            settings: settings.agent,
            standing: Arc::default(),
            movers: Arc::default(),
            offers: webdfs::agent::offers::Offers::default(),
            gossip: GossipSettings { listen: None, signer: Signer::new(&settings.secrets) },
            hearsay: Hearsay::default(),
            counting: webdfs::agent::count::Counting::default(),
            traffic: webdfs::agent::traffic::Traffic::default(),
        };
        let runtime = Runtime::new().unwrap();
        let mut stage = Self { dir, runtime, agent, running: None, begun, end };
        stage.elect(None);
        stage
    }

    fn elect(&mut self, mandate: Option<Mandate>) {
        let (stop, stopped) = watch::channel(false);
        self.running = Some((stop, self.runtime.spawn(self.agent.clone().run(mandate, stopped))));
    }

    fn stop(&mut self) -> Option<Mandate> {
        let (stop, running) = self.running.take().unwrap();
        stop.send_replace(true);
        self.runtime.block_on(running).unwrap()
    }

    fn config(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    fn begins(&mut self) -> (Occasion, Report) {
        let begun = self.begun.blocking_recv();
        begun.expect("the agent is there")
    }

    fn scrubbed(&self) -> Option<u64> {
        self.agent.store.agent_record().scrubbed
    }
}

#[test]
fn a_command_waits_until_its_work_is_finished_and_tells_how_far_it_is() {
    let mut stage = Stage::start();
    let mut waiting = start(&["scrub"], &stage.config());
    let (occasion, report) = stage.begins();
    assert_eq!(occasion, Occasion::Asked);
    report.set(40, Some(100));
    report.doing("reading");
    assert_eq!(hears(&mut waiting), "webdfs: scrub: reading, 40 of 100 keys, 0 B\n", "where no terminal is");
    let now = || serde_json::from_str::<serde_json::Value>(&run(&["status", "--json"], &stage.config()).out);
    let scrub = now().unwrap()["scrub"].clone();
    assert_eq!((&scrub["now"]["state"], &scrub["now"]["done"]), (&"running".into(), &40.into()));
    report.advance(60, 5 << 20);
    assert_eq!(stage.scrubbed(), None);
    stage.end.send(Ok(())).unwrap();
    let Ran { code, out, err } = end_of(waiting);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "scrub is finished: 100 keys, 5.00 MiB\n", ""));
    assert!(stage.scrubbed().is_some());
    let shown = run(&["status"], &stage.config()).out;
    assert!(shown.lines().any(|line| line.starts_with("scrub       finished ")), "{shown}");
}

#[test]
fn a_command_fails_when_its_work_does_and_says_why() {
    let mut stage = Stage::start();
    let waiting = start(&["scrub"], &stage.config());
    stage.begins();
    stage.end.send(Err(Unfinished::new("node img2 did not answer"))).unwrap();
    let Ran { code, out, err } = end_of(waiting);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "webdfs: scrub is not finished: node img2 did not answer\n");
    assert_eq!(stage.scrubbed(), None);
}

#[test]
fn a_command_fails_when_the_agent_leaves_before_the_end_of_its_work() {
    let mut stage = Stage::start();
    let waiting = start(&["scrub"], &stage.config());
    stage.begins();
    drop(stage.stop());
    let Ran { code, err, .. } = end_of(waiting);
    assert_eq!(code, 1);
    assert_eq!(err, "webdfs: the webdfs that was asked has ended before it was done; ask again\n");
    assert_eq!(stage.scrubbed(), None);
}

#[test]
fn who_waits_goes_on_waiting_when_the_configuration_is_read_again_and_the_work_begins_anew() {
    let mut stage = Stage::start();
    let waiting = start(&["scrub"], &stage.config());
    let (_, first) = stage.begins();
    let mandate = stage.stop();
    assert!(first.is_over());
    stage.elect(mandate);
    let (occasion, _) = stage.begins();
    assert_eq!(occasion, Occasion::Asked);
    stage.end.send(Ok(())).unwrap();
    assert_eq!(end_of(waiting).code, 0);
}

#[test]
fn who_asks_while_the_work_goes_on_gets_a_run_of_his_own() {
    let mut stage = Stage::start();
    let first = start(&["scrub"], &stage.config());
    stage.begins();
    let mut second = start(&["scrub"], &stage.config());
    let heard = hears(&mut second);
    assert!(heard.starts_with("webdfs: scrub: this begins when what began earlier has ended"), "{heard}");
    stage.end.send(Ok(())).unwrap();
    assert_eq!(end_of(first).code, 0);
    stage.begins();
    assert!(second.try_wait().unwrap().is_none());
    stage.end.send(Ok(())).unwrap();
    assert_eq!(end_of(second).code, 0);
}

#[test]
fn bytes_that_make_no_sense_are_answered_and_harm_nobody() {
    use std::io::{Read, Write};
    let stage = Stage::start();
    let connect = || webdfs::store::connect_to_agent(&stage.dir.join("root"));
    wait_until("it listens", || connect().is_ok());
    for bytes in [&b"\n"[..], b"{\"do\":\"format\"}\n", b"\xff\xff\n", b"{\"do\":", b""] {
        let mut stream = connect().unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() == bytes.is_empty(), "{answer}");
        assert!(answer.is_empty() || answer.starts_with("{\"refused\":"), "{answer}");
    }
    assert_eq!(run(&["status"], &stage.config()).code, 0);
}
