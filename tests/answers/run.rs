//! Runs the set through one lane: each case on a local and on a remote replica, in a folder of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::case::{A, Case};
use super::disks::strays;
use super::lane::{Lane, Place};
use crate::common::{Call, Cluster, wait_until};

/// Cases at once.
const THREADS: usize = 4;

/// One case on one place.
pub struct Job<'a> {
    pub case: &'a Case,
    pub place: Place,
    pub folder: String,
    /// The node that is asked.
    pub node: usize,
    /// The best of those that have the object, or will.
    pub owner: usize,
    /// What is stored under the target before.
    pub known: OnceLock<Option<Known>>,
}

/// What stands under the name before the request.
pub struct Known {
    pub etag: String,
    pub modified: String,
    pub body: Vec<u8>,
}

/// Runs the whole set.
///
/// # Panics
/// When any case is answered otherwise than it says, or anything else is on the disks afterwards.
pub fn run(set: &[Case], lane: &Lane) {
    let cluster = Cluster::start(lane.front, lane.options.clone());
    let jobs = jobs(set, lane, &cluster);
    let mut wrong = of_each(&jobs, |job| job.store(&cluster));
    lane.wait_until_rested();
    wrong.extend(of_each(&jobs, |job| job.run(lane, &cluster)));
    wait_until("no upload is left behind", || cluster.present().all(|node| cluster.spools(node).is_empty()));
    wrong.extend(strays(&jobs, lane, &cluster));
    wrong.extend(
        cluster.present().filter(|node| !cluster.is_alive(*node)).map(|node| format!("node {node} has died")),
    );
    if !wrong.is_empty() {
        let count = wrong.len();
        eprintln!("{}:\n\n{}\n", lane.name, wrong.join("\n\n"));
        panic!("{}: {count} of {} answers are wrong", lane.name, jobs.len());
    }
}

/// Does something with each job, several at once; what went wrong.
fn of_each(jobs: &[Job], act: impl Fn(&Job) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(problem) = act(job) {
                        let told = format!("{} ({:?}): {problem}", job.case.name, job.place);
                        wrong.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

fn jobs<'a>(set: &'a [Case], lane: &Lane, cluster: &Cluster) -> Vec<Job<'a>> {
    let places = lane.places().into_iter().flat_map(|place| set.iter().map(move |case| (case, place)));
    let mut jobs: Vec<Job> = places
        .enumerate()
        .map(|(number, (case, place))| Job {
            case,
            place,
            folder: format!("/answers/{number:05}"),
            node: 0,
            owner: 0,
            known: OnceLock::new(),
        })
        .collect();
    let deciding: Vec<String> = jobs.iter().map(|job| job.fill(job.case.deciding_name())).collect();
    for (job, owners) in jobs.iter_mut().zip(cluster.owners_of(&deciding)) {
        let other = (0..3).find(|node| !owners.contains(node)).expect("a node without it");
        job.owner = owners[0];
        job.node = if job.place == Place::Local { owners[0] } else { other };
    }
    jobs
}

impl Case {
    /// The name whose owners decide what is local.
    fn deciding_name(&self) -> &str {
        let mut names =
            self.before.iter().map(|(name, _)| name).chain(self.after.iter().map(|(name, _)| name));
        let of_target = names.clone().find(|name| name.as_bytes() == self.target);
        of_target.or_else(|| names.next()).map_or(A, String::as_str)
    }
}

impl Job<'_> {
    /// Puts the folder in.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{}", &self.folder)
    }

    fn run(&self, lane: &Lane, cluster: &Cluster) -> Result<(), String> {
        let Some(known) = self.known.get() else { return Err("it was not stored".to_owned()) };
        let answer = self.send(cluster, known.as_ref());
        let except = self.case.except.iter().find(|except| except.fact.holds(lane, self.place));
        self.judge(&answer, known.as_ref(), except)?;
        let after = except.and_then(|except| except.after.as_ref()).unwrap_or(&self.case.after);
        self.check_after(cluster, after, known.as_ref())
    }

    /// Stores what the case wants stored, and notes down what is known of that under the target, or else of the first.
    fn store(&self, cluster: &Cluster) -> Result<(), String> {
        let mut known: Option<Known> = None;
        for (name, body) in &self.case.before {
            // What a client claims of the type counts nowhere.
            let put = Call::new("PUT", &self.fill(name))
                .header("Content-Type", "application/x-claimed")
                .body(body.clone());
            let stored = put.try_send(cluster.address(self.owner));
            let stored = stored.map_err(|error| format!("storing {name}: {error}"))?;
            if stored.status != 201 {
                return Err(format!("storing {name}: {stored}"));
            }
            if known.is_none() || name.as_bytes() == self.case.target {
                let header = |field| stored.header(field).unwrap_or_default().to_owned();
                known = Some(Known {
                    etag: header("ETag"),
                    modified: header("Last-Modified"),
                    body: body.clone(),
                });
            }
        }
        let _ = self.known.set(known);
        Ok(())
    }
}
