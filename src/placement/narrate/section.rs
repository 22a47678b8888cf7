//! What a lookup is told in: sections of steps, and how much of them is shown.

use serde::Serialize;

use super::values::Values;
use super::words::count;

/// So many quiet steps or sections in a row are told one by one; more are told together.
const QUIET_MAX: usize = 2;

/// The steps of a lookup that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What they are about.
    pub about: About,
    /// Its name.
    pub name: String,
    /// What there is to know of it in words.
    pub heading: String,
    /// At least one, in order.
    pub steps: Vec<Step>,
}

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The number that everything is drawn by.
    Seed,
    /// The sub-cluster at this position in the map.
    SubCluster(u32),
    /// The way of that replica, from 0.
    Replica(u32),
    /// A hierarchy of buckets, as CRUSH has it.
    Hierarchy,
    /// Owners that are replaced.
    Substitutes,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What happened, with numbers as exact as they are.
    #[serde(flatten)]
    pub values: Values,
    /// The same as a sentence.
    pub words: String,
    /// What the sentence sums up, a line each.
    #[serde(skip)]
    pub details: Vec<String>,
    /// Whether nothing came of it.
    #[serde(skip)]
    pub is_quiet: bool,
}

impl Step {
    /// A step without details.
    pub(super) fn new(values: Values, words: String, is_quiet: bool) -> Self {
        Self { values, words, details: Vec::new(), is_quiet }
    }
}

impl Section {
    /// Whether nothing came of it: as many sub-clusters of a large map as receive no replica.
    pub fn is_quiet(&self) -> bool {
        self.steps.iter().all(|step| step.is_quiet)
    }

    /// Its steps as lines; those that nothing came of told together where they are many, and without details,
    /// unless `all`.
    fn lines(&self, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut steps = &self.steps[..];
        while let Some((first, rest)) = steps.split_first() {
            let quiet = steps.iter().take_while(|step| step.is_quiet).count();
            let sum = (!all && quiet > QUIET_MAX).then(|| self.sum_up(&steps[..quiet])).flatten();
            if let Some(sum) = sum {
                lines.push(sum);
                steps = &steps[quiet..];
                continue;
            }
            lines.push(first.words.clone());
            if all {
                lines.extend(first.details.iter().map(|detail| format!("  {detail}")));
            }
            steps = rest;
        }
        lines
    }

    /// Steps that nothing came of in one line. None where each is of use: those of one sub-cluster are few.
    fn sum_up(&self, steps: &[Step]) -> Option<String> {
        match self.about {
            About::Replica(_) => {
                let name = |step: Option<&Step>| match step.map(|step| &step.values) {
                    Some(Values::Draw { subcluster, .. }) => Some(subcluster.clone()),
                    _ => None,
                };
                let (first, last) = (name(steps.first())?, name(steps.last())?);
                let subclusters = count(steps.len(), "sub-cluster");
                Some(format!("{subclusters} from {first} to {last}: no draw below its share"))
            }
            About::Hierarchy => {
                let mut reasons: Vec<(&str, usize)> = Vec::new();
                for step in steps {
                    let (Values::CrushDescent { failure: Some(reason), .. }
                    | Values::CrushFailure { reason, .. }) = &step.values
                    else {
                        return None;
                    };
                    match reasons.iter_mut().find(|(known, _)| known == reason) {
                        Some((_, times)) => *times += 1,
                        None => reasons.push((reason, 1)),
                    }
                }
                let draws = count(steps.len(), "draw");
                if let [(reason, _)] = reasons[..] {
                    return Some(format!("{draws} lead to what {reason}"));
                }
                let reasons: Vec<_> =
                    reasons.iter().map(|(reason, times)| format!("{times} to what {reason}")).collect();
                Some(format!("{draws} lead nowhere: {}", reasons.join(", ")))
            }
            About::Seed | About::SubCluster(_) | About::Substitutes => None,
        }
    }
}

/// Sections as lines, steps below the headings; what is quiet told together where it is much, unless `all`.
pub fn lines(mut sections: &[Section], all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((first, rest)) = sections.split_first() {
        let quiet = sections.iter().take_while(|section| section.is_quiet()).count();
        if !all && quiet > QUIET_MAX {
            lines.push(together(&sections[..quiet]));
            sections = &sections[quiet..];
            continue;
        }
        lines.push(first.heading.clone());
        lines.extend(first.lines(all).into_iter().map(|line| format!("  {line}")));
        sections = rest;
    }
    lines
}

/// Several quiet sections as one line. Empty if there are none.
fn together(sections: &[Section]) -> String {
    let (Some(first), Some(last)) = (sections.first(), sections.last()) else { return String::new() };
    let subclusters = count(sections.len(), "sub-cluster");
    let draws = sections.iter().map(|section| section.steps.len()).sum();
    let (first, last, draws) = (&first.name, &last.name, count(draws, "draw"));
    format!(
        "{subclusters} from {first} to {last}: {draws}, none of them below its share, so they receive nothing"
    )
}
