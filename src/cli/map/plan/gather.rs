//! Asking every node until it has counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::{NodeIndex, View};
use crate::control::{Counts, PlanOrder, Planned};
use crate::peer::client::{PeerClient, PeerError};

/// Nodes that are asked at the same time.
const AT_ONCE: usize = 64;
/// How often a node is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A node that counts may be busy for so many questions.
const SILENCES_MAX: u32 = 5;
/// How often a line tells how far it is, where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// What a node has counted, or why it has not.
pub(super) type Answer = Result<Counts, String>;

/// A node that is asked.
#[derive(Default)]
struct Asked {
    answer: Option<Answer>,
    silences: u32,
    has_answered: bool,
    done: u64,
    of: u64,
}

/// What every node of `all` counts for a map; `view` is what is in force. In the order of `all`.
pub(super) async fn gather(
    peers: &PeerClient,
    view: &View,
    all: &View,
    order: PlanOrder,
) -> BTreeMap<NodeIndex, Answer> {
    let mut asked: BTreeMap<NodeIndex, Asked> =
        all.indexed().map(|(node, _)| (node, Asked::default())).collect();
    let mut meter = Meter::new();
    loop {
        let open: Vec<_> =
            asked.iter().filter(|(_, asked)| asked.answer.is_none()).map(|(node, _)| *node).collect();
        if open.is_empty() {
            break;
        }
        let order = &order;
        let answers =
            stream::iter(open).map(|node| async move { (node, ask(peers, all, node, order).await) });
        let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
        for (node, answer) in answers {
            let is_current = view.index_of(all.node(node).name()).is_some();
            asked.entry(node).or_default().note(answer, view, is_current);
        }
        let sum = |of: fn(&Asked) -> u64| asked.values().map(of).sum();
        meter.show(sum(|asked| asked.done), sum(|asked| asked.of));
        if asked.values().any(|asked| asked.answer.is_none()) {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    meter.bar.finish_and_clear();
    let answer = |asked: Asked| asked.answer.unwrap_or_else(|| Err("not asked".to_owned()));
    asked.into_iter().map(|(node, asked)| (node, answer(asked))).collect()
}

/// Asks a node how far it is. It is sent the map only if it does not have it.
async fn ask(
    peers: &PeerClient,
    all: &View,
    node: NodeIndex,
    order: &PlanOrder,
) -> Result<Planned, PeerError> {
    let short = PlanOrder { map: order.map, token: order.token, text: None };
    match peers.plan(all, node, &short).await {
        Ok(Planned { needs_map: true, problem: None, .. }) => peers.plan(all, node, order).await,
        answer => answer,
    }
}

impl Asked {
    fn note(&mut self, answer: Result<Planned, PeerError>, view: &View, is_current: bool) {
        let planned = match answer {
            Ok(planned) => planned,
            Err(_) if self.has_answered && self.silences < SILENCES_MAX => {
                self.silences += 1;
                return;
            }
            Err(error) => return self.answer = Some(Err(error.to_string())),
        };
        (self.has_answered, self.silences) = (true, 0);
        let Planned { epoch, in_force, done, of, counts, problem, .. } = planned;
        (self.done, self.of) = (done, of.unwrap_or(0).max(done));
        let works_by_other = in_force != view.fingerprint() && (epoch > 0 || is_current);
        self.answer = match (problem, counts) {
            _ if works_by_other => Some(Err(format!("it works by epoch {epoch}, map {in_force}"))),
            (Some(problem), _) => Some(Err(problem)),
            (None, counts) => counts.map(Ok),
        };
    }
}

/// How far it is: a bar on a terminal, elsewhere now and then a line.
struct Meter {
    bar: ProgressBar,
    last: Instant,
}

impl Meter {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) =
            ProgressStyle::with_template("counting {bar:40} {pos} of about {len} copies ({eta} left)")
        {
            bar.set_style(style);
        }
        Self { bar, last: Instant::now() }
    }

    fn show(&mut self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.last.elapsed() > LINE_EVERY {
            self.last = Instant::now();
            eprintln!("webdfs: map plan: {done} of about {of} copies counted");
        }
    }
}
