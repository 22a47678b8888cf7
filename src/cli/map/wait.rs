//! Waiting until a map is settled, and showing meanwhile how far files have moved.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::apply::ApplyError;
use super::ask::statuses;
use super::status::Standing;
use crate::cli::CliError;
use crate::cluster::{NodeIndex, View};
use crate::control::Status;
use crate::peer::client::{PeerClient, PeerError};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a line tells how far it is, where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Waits until the current map of `view` is settled on all of its nodes.
///
/// # Errors
/// When another map comes into force, or the user is tired of waiting: the change goes on all the same.
pub(super) async fn until_settled(peers: &PeerClient, view: &View) -> Result<(), CliError> {
    tokio::select! {
        settled = look_until_settled(peers, view) => settled,
        _ = tokio::signal::ctrl_c() => Err(CliError::GoesOn),
    }
}

async fn look_until_settled(peers: &PeerClient, view: &View) -> Result<(), CliError> {
    let mut meter = Meter::new();
    let (mut before, mut looked) = (None::<Standing>, Instant::now());
    loop {
        let answers = statuses(peers, view).await;
        let newer = answers.iter().filter_map(|(_, status)| Some(status.as_ref().ok()?.epoch)).max();
        if let Some(epoch) = newer.filter(|epoch| *epoch > view.epoch().get()) {
            return Err(ApplyError::Overtaken { epoch, own: view.epoch().get() }.into());
        }
        let standing = Standing::of(view, &answers);
        if standing.has_passed() && have_settled(view, &answers) {
            meter.bar.finish_and_clear();
            return Ok(());
        }
        let elapsed = looked.elapsed();
        looked = Instant::now();
        meter.show(&match &before {
            Some(before) => standing.clone().since(before, elapsed),
            None => standing.clone(),
        });
        before = Some(standing);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether all nodes of the map that answer have forgotten the older ones.
fn have_settled(view: &View, answers: &[(NodeIndex, Result<Status, PeerError>)]) -> bool {
    let of_map = answers.iter().filter(|(node, _)| view.is_current(*node));
    let mut answering = of_map.filter_map(|(_, status)| status.as_ref().ok());
    answering.all(|status| status.map == view.fingerprint() && status.unsettled.is_empty())
}

/// How far it is: a bar on a terminal, elsewhere now and then a line on standard error.
struct Meter {
    bar: ProgressBar,
    last: Option<Instant>,
}

impl Meter {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        Self { bar, last: None }
    }

    fn show(&mut self, standing: &Standing) {
        let (done, of, said) = standing.progress();
        self.bar.set_length(of);
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.last.is_none_or(|last| last.elapsed() > LINE_EVERY) {
            self.last = Some(Instant::now());
            eprintln!("webdfs: {said}");
        }
        self.bar.set_message(said);
    }
}
