//! From a specification back to a text map, as `crushtool -d` would print it: what is read again is the same
//! specification. Comments, the type of a rule and the sizes it is for are not part of one, and so not kept.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};

use crate::cluster::crush::spec::{
    BucketSpec, Choice, CrushSpec, Order, RuleSpec, Step, StrawCalculation, Tunables, WEIGHT_ONE,
};

/// Writes the text of an accepted map. What was read from a text is the same when it is read again; a weight that no
/// text can say exactly, because it has more than 24 significant bits, becomes the nearest that one can.
pub fn print_text(spec: &CrushSpec) -> String {
    let mut text = String::new();
    let (mut copies, mut copied) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
    for bucket in &spec.buckets {
        if let Some((original, class)) = copy_of(bucket) {
            copies.entry(original).or_default().push((bucket.id, class));
            copied.insert(bucket.id, (original, class));
        }
    }
    let devices = spec.devices.iter().map(|device| (device.id, device.name.as_str()));
    let mut printer = Printer {
        spec,
        names: spec.buckets.iter().map(|bucket| (bucket.id, bucket.name.as_str())).chain(devices).collect(),
        types: spec.types.iter().map(|one| (one.id, one.name.as_str())).collect(),
        buckets: spec.buckets.iter().map(|bucket| (bucket.id, bucket)).collect(),
        copies,
        copied,
        printed: HashSet::new(),
        out: &mut text,
    };
    printer.print().expect("a string takes everything");
    text
}

/// The bucket that this is the copy of for one class, and the class.
fn copy_of(bucket: &BucketSpec) -> Option<(&str, &str)> {
    let class = bucket.shadow_class.as_deref()?;
    Some((bucket.name.strip_suffix(class)?.strip_suffix('~')?, class))
}

struct Printer<'a> {
    spec: &'a CrushSpec,
    /// Of devices and buckets, by their ids.
    names: HashMap<i32, &'a str>,
    types: HashMap<u32, &'a str>,
    buckets: HashMap<i32, &'a BucketSpec>,
    /// The copies of a bucket for single classes, by its name: their ids and classes.
    copies: HashMap<&'a str, Vec<(i32, &'a str)>>,
    /// What such a copy is of, by its id.
    copied: HashMap<i32, (&'a str, &'a str)>,
    /// The buckets that stand in the text already.
    printed: HashSet<i32>,
    out: &'a mut String,
}

impl<'a> Printer<'a> {
    fn print(&mut self) -> fmt::Result {
        writeln!(self.out, "# begin crush map")?;
        self.tunables(self.spec.tunables)?;
        writeln!(self.out, "\n# devices")?;
        for device in &self.spec.devices {
            write!(self.out, "device {} {}", device.id, device.name)?;
            match &device.class {
                Some(class) => writeln!(self.out, " class {class}")?,
                None => writeln!(self.out)?,
            }
        }
        writeln!(self.out, "\n# types")?;
        for one in &self.spec.types {
            writeln!(self.out, "type {} {}", one.id, one.name)?;
        }
        writeln!(self.out, "\n# buckets")?;
        self.spec.buckets.iter().try_for_each(|bucket| self.bucket(bucket))?;
        writeln!(self.out, "\n# rules")?;
        self.spec.rules.iter().try_for_each(|rule| self.rule(rule))?;
        writeln!(self.out, "\n# end crush map")
    }

    fn tunables(&mut self, tunables: Tunables) -> fmt::Result {
        let straws = match tunables.straw_calc_version {
            StrawCalculation::Original => 0,
            StrawCalculation::Corrected => 1,
        };
        let values = [
            ("choose_local_tries", tunables.choose_local_tries),
            ("choose_local_fallback_tries", tunables.choose_local_fallback_tries),
            ("choose_total_tries", tunables.choose_total_tries),
            ("chooseleaf_descend_once", tunables.chooseleaf_descend_once.into()),
            ("chooseleaf_vary_r", tunables.chooseleaf_vary_r),
            ("chooseleaf_stable", tunables.chooseleaf_stable.into()),
            ("straw_calc_version", straws),
            ("allowed_bucket_algs", tunables.allowed_bucket_algs),
        ];
        values.into_iter().try_for_each(|(name, value)| writeln!(self.out, "tunable {name} {value}"))
    }

    /// The bucket, with the ids of its copies for single classes, behind the buckets in it: what is named must stand
    /// above. An accepted map is not deep.
    fn bucket(&mut self, bucket: &BucketSpec) -> fmt::Result {
        if bucket.shadow_class.is_some() || !self.printed.insert(bucket.id) {
            return Ok(());
        }
        for item in &bucket.items {
            if let Some(inner) = self.buckets.get(&item.id).copied() {
                self.bucket(inner)?;
            }
        }
        let type_name = self.type_name(bucket.type_id);
        writeln!(self.out, "{type_name} {} {{\n\tid {}", bucket.name, bucket.id)?;
        for (id, class) in self.copies.get(bucket.name.as_str()).into_iter().flatten() {
            writeln!(self.out, "\tid {id} class {class}")?;
        }
        writeln!(self.out, "\talg {}\n\thash 0", bucket.kind.as_str())?;
        for item in &bucket.items {
            let weight = f64::from(item.weight) / f64::from(WEIGHT_ONE);
            let name = self.names.get(&item.id).copied().unwrap_or_default();
            writeln!(self.out, "\titem {name} weight {weight:?}")?;
        }
        writeln!(self.out, "}}")
    }

    /// The name of a type; an accepted map has all but maybe that of devices, which no text needs then.
    fn type_name(&self, type_id: u32) -> &'a str {
        self.types.get(&type_id).copied().unwrap_or_default()
    }

    fn rule(&mut self, rule: &RuleSpec) -> fmt::Result {
        writeln!(self.out, "rule {} {{\n\tid {}\n\ttype replicated", rule.name, rule.id)?;
        for step in &rule.steps {
            self.out.push_str("\tstep ");
            self.step(*step)?;
            self.out.push('\n');
        }
        writeln!(self.out, "}}")
    }

    fn step(&mut self, step: Step) -> fmt::Result {
        match step {
            Step::Take(item) => match self.copied.get(&item) {
                Some((original, class)) => write!(self.out, "take {original} class {class}"),
                None => write!(self.out, "take {}", self.names.get(&item).copied().unwrap_or_default()),
            },
            Step::Choose(Choice { leaf, order, count, type_id }) => {
                let word = if leaf { "chooseleaf" } else { "choose" };
                let order = match order {
                    Order::Firstn => "firstn",
                    Order::Indep => "indep",
                };
                let type_name = self.type_name(type_id);
                write!(self.out, "{word} {order} {count} type {type_name}")
            }
            Step::Emit => write!(self.out, "emit"),
            Step::SetChooseTries(value) => write!(self.out, "set_choose_tries {value}"),
            Step::SetChooseleafTries(value) => write!(self.out, "set_chooseleaf_tries {value}"),
            Step::SetChooseLocalTries(value) => write!(self.out, "set_choose_local_tries {value}"),
            Step::SetChooseLocalFallbackTries(value) => {
                write!(self.out, "set_choose_local_fallback_tries {value}")
            }
            Step::SetChooseleafVaryR(value) => write!(self.out, "set_chooseleaf_vary_r {value}"),
            Step::SetChooseleafStable(value) => {
                write!(self.out, "set_chooseleaf_stable {}", u32::from(value))
            }
        }
    }
}
