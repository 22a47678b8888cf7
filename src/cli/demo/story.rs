//! The demo from start to end, as it is told on the screen.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::DemoError;
use super::checks::{self, Tally};
use super::client::Client;
use super::cluster::{Cluster, Front, Node};
use super::images::{self, Image, url_path};
use super::locate::{self, Owner};
use super::screen::{Screen, Tone, count, size};

/// Decides the details of the images.
const SEED: u64 = 2004;
/// How many failures of a group are shown; the rest is counted.
const FAILURES_SHOWN: usize = 5;
/// The image that the lines to try are about.
const EXAMPLE: &str = "photos/2026/harbour-01.jpg";
/// Where a reader is invited to put something.
const UPLOAD: &str = "mine/first.jpg";
/// How often the demo looks whether a node has ended while it waits.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Starts the nodes, stores the images, shows where they are, reads them back. `front_reason` says why this front.
///
/// # Errors
/// When a step cannot be done at all, or, at the end, when anything was not as it should be.
pub async fn tell(screen: &mut Screen, cluster: &mut Cluster, front_reason: &str) -> Result<(), DemoError> {
    let client = Client::default();
    cluster.start()?;
    let drawn = tokio::task::spawn_blocking(|| images::draw(SEED));
    introduce(screen, cluster, front_reason)?;
    cluster.wait_until_ready(&client).await?;
    let images = drawn.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;

    let mut progress = screen.progress("storing", images.len());
    let stored = checks::store(&client, cluster, &images, || progress.step()).await?;
    drop(progress);
    let owners = owners_of(cluster, &images).await?;
    show_images(screen, cluster, &images, &owners)?;

    let bytes: usize = images.iter().map(|image| image.bytes.len()).sum();
    let of = |tally: &Tally| format!("{} of {}", tally.passed(), tally.total);
    let through = format!("({}) through {}", size(bytes), count(cluster.nodes.len(), "node"));
    let mut result = Tally::default();
    report(screen, &mut result, format!("stored {} images {through}", of(&stored)), stored)?;
    let copies = checks::copies_on_disk(cluster, &images, &owners).await;
    report(
        screen,
        &mut result,
        format!("found {} copies on disk, on their owners alone", of(&copies)),
        copies,
    )?;
    let back = checks::read_back(&client, cluster, &images).await;
    report(
        screen,
        &mut result,
        format!("read back {}, each image from every node", of(&back.read)),
        back.read,
    )?;
    let alike = format!("same ETag and Last-Modified from every node: {}", of(&back.alike));
    report(screen, &mut result, alike, back.alike)?;
    report(screen, &mut result, format!("decoded again {}", of(&back.decoded)), back.decoded)?;
    match result.failures.len() {
        0 => Ok(()),
        failed => Err(DemoError::ChecksFailed { failed, made: result.total }),
    }
}

/// Prints lines to try, then watches the nodes; never ends.
///
/// # Errors
/// When the lines cannot be printed.
pub async fn stay(screen: &mut Screen, cluster: &Cluster, temporary: bool) -> Result<(), DemoError> {
    let example = [url_path(EXAMPLE)];
    let owners = owners_of_paths(cluster, &example).await?.pop().unwrap_or_default();
    for line in lines_to_try(cluster, &owners) {
        screen.line(line)?;
    }
    let end = if temporary { "and removes the folder" } else { "and keeps the folder" };
    screen.line(format!("\nCtrl-C stops the nodes {end}."))?;

    let mut told = BTreeSet::new();
    loop {
        for node in &cluster.nodes {
            if let Some((program, ended)) = node.ended()
                && told.insert(&node.name)
            {
                screen.line(format!("{}: {program} has ended ({ended}); the others go on", node.name))?;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn introduce(screen: &mut Screen, cluster: &Cluster, front_reason: &str) -> io::Result<()> {
    let plan = cluster.plan();
    let headline = format!(
        "webdfs demo: {} on loopback, {} of each image, {} of them needed for a write",
        count(plan.node_count, "node"),
        count(plan.replica_count, "copy"),
        plan.write_quorum()
    );
    screen.line(screen.tone(Tone::Strong, &headline))?;
    screen.line(format!("front: {front_reason}"))?;
    screen.line(format!("files: {}\n", plan.folder.display()))?;
    let id = |id: Option<u32>| id.map_or_else(String::new, |id| id.to_string());
    let row = |node: &Node| [node.name.clone(), node.url(), id(node.webdfs_id()), id(node.nginx_id())];
    let rows: Vec<[String; 4]> = cluster.nodes.iter().map(row).collect();
    match plan.front {
        Front::Nginx(_) => screen.table(["node", "url", "webdfs", "nginx"], &rows, &[2, 3])?,
        Front::Http => {
            let rows: Vec<[String; 3]> = rows.into_iter().map(|[name, url, id, _]| [name, url, id]).collect();
            screen.table(["node", "url", "webdfs"], &rows, &[2])?;
        }
    }
    screen.line("")
}

async fn owners_of(cluster: &Cluster, images: &[Image]) -> Result<Vec<Vec<Owner>>, DemoError> {
    let paths: Vec<String> = images.iter().map(Image::url_path).collect();
    owners_of_paths(cluster, &paths).await
}

async fn owners_of_paths(cluster: &Cluster, paths: &[String]) -> Result<Vec<Vec<Owner>>, DemoError> {
    let executable = cluster.plan().executable.clone();
    let (config, paths) = (cluster.nodes[0].config(), paths.to_vec());
    let asked = tokio::task::spawn_blocking(move || locate::owners(&executable, &config, &paths));
    Ok(asked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
}

fn show_images(
    screen: &mut Screen,
    cluster: &Cluster,
    images: &[Image],
    owners: &[Vec<Owner>],
) -> io::Result<()> {
    let rows: Vec<[String; 5]> = images
        .iter()
        .zip(owners)
        .map(|(image, owners)| {
            let kind = image.format.media_type().trim_start_matches("image/").to_owned();
            let pixels = format!("{}x{}", image.width, image.height);
            [image.path.clone(), kind, pixels, size(image.bytes.len()), names(owners)]
        })
        .collect();
    screen.table(["path", "type", "pixels", "size", "on"], &rows, &[2, 3])?;
    let folder = cluster.plan().folder.display();
    screen.line(format!("\neach copy is a plain file: {folder}/NODE/root/PATH\n"))
}

fn names(owners: &[Owner]) -> String {
    owners.iter().map(|owner| owner.node.as_str()).collect::<Vec<_>>().join(" ")
}

/// Prints the line of one group, and what was wrong; adds it to the result.
fn report(screen: &mut Screen, result: &mut Tally, line: String, group: Tally) -> io::Result<()> {
    let tone = if group.failures.is_empty() { Tone::Good } else { Tone::Bad };
    screen.line(screen.tone(tone, &line))?;
    for failure in group.failures.iter().take(FAILURES_SHOWN) {
        screen.line(format!("  {failure}"))?;
    }
    if let more @ 1.. = group.failures.len().saturating_sub(FAILURES_SHOWN) {
        screen.line(format!("  and {more} more"))?;
    }
    result.total += group.total;
    result.failures.extend(group.failures);
    Ok(())
}

/// `owners` are those of the example.
fn lines_to_try(cluster: &Cluster, owners: &[Owner]) -> Vec<String> {
    let plan = cluster.plan();
    let copies: Vec<&Node> = owners.iter().filter_map(|owner| cluster.node(&owner.node)).collect();
    let first = copies.first().copied().unwrap_or(&cluster.nodes[0]);
    // One that does not hold the example, if there is one: the more interesting to ask.
    let is_owner = |node: &Node| owners.iter().any(|owner| owner.node == node.name);
    let others = || cluster.nodes.iter().filter(|node| node.name != first.name);
    let asked = others().find(|node| !is_owner(node)).or(others().next()).unwrap_or(first);

    let quoted = |path: &Path| format!("'{}'", path.display());
    let example = format!("'{}{}'", asked.url(), url_path(EXAMPLE));
    let upload = format!("'{}{}'", asked.url(), url_path(UPLOAD));
    let file = |node: &Node| node.root().join(EXAMPLE);
    let program = quoted(&plan.executable);
    let mut lines = vec![
        "\nTry it, through any node:".to_owned(),
        format!("  curl -I {example}"),
        format!("  curl -o harbour.jpg {example}"),
        format!("  curl -s -r 0-15 {example} | od -c"),
        format!("  curl -i -T {} {upload}", quoted(&file(first))),
        format!("  curl -i -X DELETE {upload}"),
        "Who should hold what, and what is on the disks:".to_owned(),
        format!("  {program} locate --config {} {}", quoted(&first.config()), url_path(EXAMPLE)),
        format!("  ls -l {}", copies.iter().map(|node| quoted(&file(node))).collect::<Vec<_>>().join(" ")),
    ];
    if let Some(id) = first.webdfs_id()
        && asked.name != first.name
    {
        lines.push(format!(
            "Stop {}, which holds a copy, ask {}, and start it again:",
            first.name, asked.name
        ));
        lines.push(format!("  kill -9 {id}"));
        lines.push(format!("  curl -I {example}"));
        lines.push(format!("  {program} serve --config {}", quoted(&first.config())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::cluster::Plan;
    use super::super::screen::tests::Paper;
    use super::*;

    fn cluster(folder: &Path, node_count: usize) -> Cluster {
        let replica_count = node_count.min(2);
        let executable = "/opt/web dfs".into();
        Cluster::prepare(Plan {
            executable,
            folder: folder.to_owned(),
            node_count,
            replica_count,
            front: Front::Http,
        })
        .expect("files are written")
    }

    fn owner(name: &str) -> Owner {
        Owner { node: name.to_owned(), url: String::new() }
    }

    #[test]
    fn the_lines_to_try_ask_a_node_that_has_no_copy() {
        let dir = tempfile::tempdir().expect("a folder");
        let cluster = cluster(dir.path(), 3);
        let text = lines_to_try(&cluster, &[owner("img3"), owner("img1")]).join("\n");
        let wanted = format!("curl -I '{}/photos/2026/harbour-01.jpg'", cluster.nodes[1].url());
        assert!(text.contains(&wanted), "{text}");
        for index in [2, 0] {
            let file = cluster.nodes[index].root().join(EXAMPLE);
            assert!(text.contains(&format!("'{}'", file.display())), "{text}");
        }
        assert!(text.contains("'/opt/web dfs' locate --config"), "{text}");
    }

    #[test]
    fn with_a_single_node_there_is_nobody_else_to_ask() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = lines_to_try(&cluster(dir.path(), 1), &[owner("img1")]).join("\n");
        assert!(!text.contains("kill"), "{text}");
        assert!(text.contains("curl -I"), "{text}");
    }

    #[test]
    fn a_group_that_failed_shows_some_failures_and_counts_the_rest() {
        let paper = Paper::default();
        let mut result = Tally::default();
        let mut group = Tally::default();
        (0..7).for_each(|number| group.note(Err(format!("broken {number}"))));
        group.note(Ok(()));
        report(&mut paper.screen(false), &mut result, "read 1 of 8".to_owned(), group)
            .expect("paper takes all");
        assert!(paper.text().starts_with("read 1 of 8\n  broken 0\n"), "{}", paper.text());
        assert!(paper.text().ends_with("  broken 4\n  and 2 more\n"), "{}", paper.text());
        assert_eq!((result.total, result.failures.len()), (8, 7));
    }
}
