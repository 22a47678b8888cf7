//! A plan as a drawing, in SVG: what flows from node to node, each as wide as its bytes, and below how much each node holds
//! before and after. It follows the viewer's choice of a light or a dark page.

use std::collections::BTreeMap;
use std::fmt::Write;

use indicatif::BinaryBytes;

use super::Plan;
use super::forecast::{Flow, Forecast, NodeForecast};
use crate::cluster::NodeName;
use crate::control::Amount;

/// All lengths are pixels.
const WIDTH: f64 = 900.0;
const MARGIN: f64 = 24.0;
/// Where the flows begin and end.
const LEFT: f64 = 260.0;
const RIGHT: f64 = 640.0;
/// The width of the bar that a node is.
const NODE: f64 = 10.0;
/// What all flows together are high.
const FLOWS: f64 = 260.0;
/// A node is given at least so much for its name, and this between two.
const NAME: f64 = 18.0;
const GAP: f64 = 8.0;
/// What a node is given below, and where its bars begin and end.
const ROW: f64 = 34.0;
const BARS: (f64, f64) = (190.0, 560.0);
/// What a line of text takes.
const LINE: f64 = 24.0;
/// More pairs are not drawn: they would be too thin to see.
const PAIRS_DRAWN: usize = 400;
/// Colours that are told apart by everyone, on light and dark (Okabe & Ito, "Color Universal Design", 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"];

const STYLE: &str = "text{font:14px sans-serif;fill:#222}.title{font-size:18px}.soft{fill:#666}.page{fill:#fff}\
                     .before{fill:#9aa5b1}.after{fill:#0072b2}.full{fill:#c0392b}\
                     @media(prefers-color-scheme:dark){text{fill:#e6e6e6}.soft{fill:#a8a8a8}.page{fill:#16181d}\
                     .before{fill:#5d6875}.after{fill:#56b4e9}.full{fill:#ff7b6b}}";

/// The drawing.
pub(super) fn svg(plan: &Plan) -> String {
    let (forecast, mut body) = (&plan.forecast, String::new());
    let Forecast { moves, optimum, .. } = forecast;
    text(
        &mut body,
        (MARGIN, MARGIN + 12.0),
        "title",
        &format!("Epoch {} to {}", plan.old.epoch, plan.new.epoch),
    );
    let said = format!("{} move; the least is {}", amount(*moves), amount(*optimum));
    text(&mut body, (MARGIN, MARGIN + 12.0 + LINE), "soft", &said);
    let below = flows(&mut body, forecast, MARGIN + 3.0 * LINE);
    let end = fills(&mut body, &forecast.nodes, below + LINE);
    let height = end + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\"><style>{STYLE}</style>\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

/// The nodes of one side.
struct Side<'a> {
    x: f64,
    /// For each node where it begins, and how much of it is taken by flows.
    places: BTreeMap<&'a NodeName, (f64, f64)>,
    bottom: f64,
}

impl<'a> Side<'a> {
    /// Nodes in the order of the map, with what flows from or to each.
    fn new(
        body: &mut String,
        nodes: &[(&'a NodeName, u64)],
        (x, top): (f64, f64),
        scale: f64,
        colour: Option<&[&str]>,
    ) -> Self {
        let mut side = Self { x, places: BTreeMap::new(), bottom: top };
        for (number, (name, bytes)) in nodes.iter().enumerate() {
            let (y, height) = (side.bottom, *bytes as f64 * scale);
            let fill = colour
                .map_or(String::new(), |colours| format!(" fill=\"{}\"", colours[number % colours.len()]));
            let class = if colour.is_some() { "" } else { " class=\"before\"" };
            let _ = writeln!(
                body,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{NODE}\" height=\"{:.1}\"{fill}{class}/>",
                height.max(1.0)
            );
            let (at, anchor) = if colour.is_some() { (x - GAP, "end") } else { (x + NODE + GAP, "start") };
            let middle = y + height.max(NAME) / 2.0 + 5.0;
            let _ = writeln!(
                body,
                "<text x=\"{at:.1}\" y=\"{middle:.1}\" text-anchor=\"{anchor}\">{name}  {}</text>",
                BinaryBytes(*bytes)
            );
            side.places.insert(name, (y, 0.0));
            side.bottom += height.max(NAME) + GAP;
        }
        side
    }

    /// Where the next flow of a node begins, which is so high.
    fn take(&mut self, name: &NodeName, height: f64) -> f64 {
        let Some((y, taken)) = self.places.get_mut(name) else { return 0.0 };
        *taken += height;
        *y + *taken - height
    }
}

/// The flows; where they end below.
fn flows(body: &mut String, forecast: &Forecast, top: f64) -> f64 {
    if forecast.moves.bytes == 0 {
        text(body, (MARGIN, top), "", "No bytes move.");
        return top + LINE;
    }
    let scale = FLOWS / forecast.moves.bytes as f64;
    let nodes = forecast.nodes.iter();
    let from: Vec<_> =
        nodes.clone().map(|node| (&node.node, node.brings.bytes)).filter(|(_, bytes)| *bytes > 0).collect();
    let to: Vec<_> =
        nodes.map(|node| (&node.node, node.gets.bytes)).filter(|(_, bytes)| *bytes > 0).collect();
    text(body, (LEFT - GAP, top - GAP), "soft end", "brings");
    text(body, (RIGHT + NODE + GAP, top - GAP), "soft", "gets");
    let mut left = Side::new(body, &from, (LEFT, top), scale, Some(&COLOURS));
    let mut right = Side::new(body, &to, (RIGHT, top), scale, None);
    let rank = |names: &[(&NodeName, u64)], name: &NodeName| names.iter().position(|(one, _)| *one == name);
    let mut pairs: Vec<&Flow> = forecast.pairs.iter().take(PAIRS_DRAWN).collect();
    // So that flows cross as little as can be.
    pairs.sort_by_key(|flow| (rank(&from, &flow.from), rank(&to, &flow.to)));
    for flow in pairs {
        let height = flow.amount.bytes as f64 * scale;
        let (y, end) = (left.take(&flow.from, height), right.take(&flow.to, height));
        let (x, until, middle) = (left.x + NODE, right.x, (left.x + NODE + right.x) / 2.0);
        let colour = COLOURS[rank(&from, &flow.from).unwrap_or(0) % COLOURS.len()];
        let _ = writeln!(
            body,
            "<path fill=\"{colour}\" fill-opacity=\"0.45\" d=\"M{x:.1},{y:.1}C{middle:.1},{y:.1} {middle:.1},{end:.1} \
             {until:.1},{end:.1}V{:.1}C{middle:.1},{:.1} {middle:.1},{:.1} {x:.1},{:.1}Z\"><title>{} to {}: {}</title></path>",
            end + height,
            end + height,
            y + height,
            y + height,
            flow.from,
            flow.to,
            amount(flow.amount)
        );
    }
    left.bottom.max(right.bottom)
}

/// What each node holds before and after; where that ends below.
fn fills(body: &mut String, nodes: &[NodeForecast], top: f64) -> f64 {
    let held = nodes.iter().flat_map(|node| [node.before, node.after]).flatten();
    let most = held.map(|amount| amount.bytes).max().unwrap_or(0).max(1) as f64;
    let length = |amount: Amount| (BARS.1 - BARS.0) * amount.bytes as f64 / most;
    text(body, (MARGIN, top), "title", "Files on each node");
    let _ = writeln!(
        body,
        "<rect class=\"before\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/><rect class=\"after\" x=\"{z}\" y=\"{y}\" \
         width=\"12\" height=\"12\"/>",
        x = BARS.0 + 80.0,
        z = BARS.0 + 160.0,
        y = top - 11.0
    );
    text(body, (BARS.0 + 98.0, top), "soft", "before");
    text(body, (BARS.0 + 178.0, top), "soft", "after");
    let mut y = top + GAP * 2.0;
    for node in nodes {
        text(body, (BARS.0 - GAP, y + 17.0), "end", node.node.as_str());
        let (Some(before), Some(after)) = (node.before, node.after) else {
            text(body, (BARS.0, y + 17.0), "soft", "not counted");
            y += ROW;
            continue;
        };
        let is_full = node.free.is_some_and(|free| node.gets.bytes > free);
        for (class, amount, y) in [("before", before, y), ("after", after, y + 12.0)] {
            let class = if is_full && class == "after" { "full" } else { class };
            let _ = writeln!(
                body,
                "<rect class=\"{class}\" x=\"{}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"11\"/>",
                BARS.0,
                length(amount)
            );
        }
        let room = match super::print::free_then(node) {
            _ if is_full => "has too little room".to_owned(),
            Some(free) => format!("{} free then", BinaryBytes(free)),
            None => String::new(),
        };
        let said = format!("{} to {}, {room}", BinaryBytes(before.bytes), BinaryBytes(after.bytes));
        text(body, (BARS.1 + GAP, y + 17.0), if is_full { "full" } else { "soft" }, &said);
        y += ROW;
    }
    y
}

fn amount(amount: Amount) -> String {
    format!("{} copies of {}", amount.objects, BinaryBytes(amount.bytes))
}

/// A line of text. "end" among the classes: it ends there.
fn text(body: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let anchor = if class.contains("end") { " text-anchor=\"end\"" } else { "" };
    let _ = writeln!(body, "<text class=\"{class}\"{anchor} x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}
