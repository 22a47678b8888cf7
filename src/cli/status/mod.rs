//! `webdfs status`: how the running node is, or all nodes as it knows them.

mod cluster;

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use indicatif::BinaryBytes;

use serde::Serialize;

use super::work::{agent_of, wait_for};
use super::{CliError, StatusArgs};
use crate::control::{Background, CutOff, PeerStatus, Progress, State, Status, WorkStatus};

pub(super) fn run(args: &StatusArgs) -> Result<(), CliError> {
    let agent = agent_of(&args.config)?;
    let out = &mut io::stdout().lock();
    if args.cluster {
        let status = wait_for(agent.cluster())??;
        return if args.json { print_json(out, &status) } else { Ok(cluster::print(out, &status)?) };
    }
    let status = wait_for(agent.status())??;
    if args.json { print_json(out, &status) } else { Ok(print(out, &status)?) }
}

fn print_json(out: &mut impl Write, status: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, status).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn print(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let mut line = |about: &str, what: &str| writeln!(out, "{about:<12}{what}");
    line("node", &format!("{}, epoch {}, process {}", status.node, status.epoch, status.process))?;
    line("root", &status.root)?;
    line("map", &maps(status))?;
    let complete = if status.complete { "yes" } else { "no, it may lack files that it should have" };
    line("complete", complete)?;
    line("objects", &objects(status))?;
    line("tombstones", &status.tombstones.to_string())?;
    line("dirty", &format!("{} keys that some node may lack", status.dirty))?;
    line("quarantine", &format!("{} files", status.quarantine))?;
    let paused = status.background.paused;
    line("full pass", &work(&status.reconcile, paused))?;
    line("scrub", &work(&status.scrub, paused))?;
    line("background", &background_text(&status.background))?;
    for peer in &status.peers {
        line("peer", &peer_line(peer))?;
    }
    Ok(())
}

fn maps(status: &Status) -> String {
    let Status { map, epoch, passed, unsettled, .. } = status;
    if unsettled.is_empty() {
        return format!("{map}, settled");
    }
    let older: Vec<_> = unsettled.iter().map(ToString::to_string).collect();
    let own = if passed == epoch { "this node has finished its pass" } else { "files move" };
    format!("{map}, {own}; not settled, so that files are still looked for under epoch {}", older.join(", "))
}

fn objects(status: &Status) -> String {
    match &status.counted {
        None => "not counted yet".to_owned(),
        Some(counted) => {
            let bytes = BinaryBytes(counted.bytes);
            format!("{}, {bytes}, counted {}", counted.objects, date(counted.at))
        }
    }
}

fn work(status: &WorkStatus, paused: bool) -> String {
    let last =
        status.finished.map_or_else(|| "never finished".to_owned(), |at| format!("finished {}", date(at)));
    let last = match &status.cut_off {
        Some(CutOff { percent, done, bytes, at }) => {
            let (bytes, at) = (BinaryBytes(*bytes), date(*at));
            format!("cut off {at} at {percent} %, {done} keys, {bytes}, and goes on there; {last}")
        }
        None => last,
    };
    match status.now.state {
        State::Waiting | State::Finished => last,
        State::Running if paused => format!("is paused: {}; {last}", progress_text(&status.now)),
        State::Running => format!("runs now: {}; {last}", progress_text(&status.now)),
        State::Failed => format!("failed the last time; {last}"),
    }
}

fn peer_line(peer: &PeerStatus) -> String {
    match &peer.problem {
        _ if peer.up => format!("{} up", peer.node),
        None => format!("{} down", peer.node),
        Some(problem) => format!("{} down: {problem}", peer.node),
    }
}

/// How the background work goes, in words.
pub(super) fn background_text(background: &Background) -> String {
    let Background { paused, bytes_per_second, by_command, files } = background;
    let rate = match bytes_per_second {
        Some(bytes) => format!("at most {} per second", BinaryBytes(bytes.get())),
        None => "as fast as it can".to_owned(),
    };
    let rate = if *by_command { format!("{rate} by command") } else { rate };
    match files {
        _ if !paused => rate,
        0 => format!("paused until `webdfs agent resume`, then {rate}"),
        _ => {
            format!("paused until `webdfs agent resume`, then {rate}; files that are finished first: {files}")
        }
    }
}

/// How far some work is, in words.
pub(super) fn progress_text(progress: &Progress) -> String {
    let Progress { doing, done, of, bytes, .. } = progress;
    let doing = if doing.is_empty() { String::new() } else { format!("{doing}, ") };
    let of = of.map_or(String::new(), |of| format!(" of {of}"));
    format!("{doing}{done}{of} keys, {}", BinaryBytes(*bytes))
}

pub(super) fn date(seconds: u64) -> String {
    // What no calendar has can only come from a damaged file.
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Counted;

    fn lines(status: &Status) -> Vec<String> {
        let mut out = Vec::new();
        print(&mut out, status).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_status_is_a_line_for_each_thing_that_an_operator_asks_about() {
        let idle = WorkStatus { finished: None, now: Progress::default(), cut_off: None };
        let mut status = Status {
            node: "img1".to_owned(),
            process: 77,
            root: "/srv/webdfs".to_owned(),
            epoch: 3,
            map: crate::cluster::Fingerprint::default(),
            passed: 3,
            unsettled: Vec::new(),
            complete: true,
            counted: None,
            space: None,
            tombstones: 4,
            dirty: 5,
            quarantine: 6,
            carried: crate::control::Carried::default(),
            reconcile: idle.clone(),
            scrub: idle,
            background: Background::default(),
            peers: vec![
                PeerStatus { node: "img2".to_owned(), up: true, problem: None },
                PeerStatus { node: "img3".to_owned(), up: false, problem: Some("no answer".to_owned()) },
            ],
        };
        let expected = [
            "node        img1, epoch 3, process 77",
            "root        /srv/webdfs",
            "map         00000000000000000000000000000000, settled",
            "complete    yes",
            "objects     not counted yet",
            "tombstones  4",
            "dirty       5 keys that some node may lack",
            "quarantine  6 files",
            "full pass   never finished",
            "scrub       never finished",
            "background  as fast as it can",
            "peer        img2 up",
            "peer        img3 down: no answer",
        ];
        assert_eq!(lines(&status), expected);
        status.complete = false;
        status.counted = Some(Counted { at: 0, objects: 7, bytes: 3 << 20, nameless: 0 });
        status.reconcile.finished = Some(u64::MAX);
        status.reconcile.now.state = State::Failed;
        status.scrub.now =
            Progress { state: State::Running, doing: "reading".to_owned(), done: 1, of: Some(9), bytes: 512 };
        let lines = lines(&status);
        assert_eq!(lines[3], "complete    no, it may lack files that it should have");
        assert_eq!(lines[4], "objects     7, 3.00 MiB, counted Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(lines[8], "full pass   failed the last time; finished Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(lines[9], "scrub       runs now: reading, 1 of 9 keys, 512 B; never finished");
    }

    #[test]
    fn where_work_was_cut_off_is_told() {
        let cut_off = CutOff { percent: 37, done: 5, bytes: 1 << 20, at: 0 };
        let mut status = WorkStatus { finished: None, now: Progress::default(), cut_off: Some(cut_off) };
        let expected = "cut off Thu, 01 Jan 1970 00:00:00 GMT at 37 %, 5 keys, 1.00 MiB, and goes on there; \
                        never finished";
        assert_eq!(work(&status, false), expected);
        status.now.state = State::Failed;
        assert_eq!(work(&status, false), format!("failed the last time; {expected}"));
    }

    #[test]
    fn what_was_ordered_of_the_background_work_is_told() {
        let rate = std::num::NonZeroU64::new(3 << 20);
        let mut background = Background { bytes_per_second: rate, ..Background::default() };
        assert_eq!(background_text(&background), "at most 3.00 MiB per second");
        (background.by_command, background.paused) = (true, true);
        let paused = "paused until `webdfs agent resume`, then at most 3.00 MiB per second by command";
        assert_eq!(background_text(&background), paused);
        background.files = 2;
        assert_eq!(background_text(&background), format!("{paused}; files that are finished first: 2"));
        let now = Progress { state: State::Running, doing: "reading".to_owned(), ..Progress::default() };
        let status = WorkStatus { finished: None, now, cut_off: None };
        assert_eq!(work(&status, true), "is paused: reading, 0 keys, 0 B; never finished");
    }
}
