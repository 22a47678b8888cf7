//! The rules of a CRUSH map, checked: each can be followed to its end with bounded work.

use super::error::CrushFault;
use super::spec::{
    COUNT_MAX, CrushSpec, DEVICE_TYPE, FALLBACK_ITEMS_MAX, Order, RuleSpec, STEPS_MAX, Step, TRIES_MAX,
    TRIES_PRODUCT_MAX, Tunables, VARY_R_MAX,
};

/// A rule of a map: what a lookup does, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    id: u32,
    name: String,
    steps: Vec<Step>,
    yields_devices: bool,
}

impl Rule {
    /// Checks a rule of a map whose largest bucket has `items_most` items; `item_type` is the type of an item, if there is one, and `has_type` says which types there are.
    ///
    /// # Errors
    /// What is wrong, and at which step, if at one.
    pub(super) fn new(
        spec: RuleSpec,
        tunables: &Tunables,
        items_most: usize,
        item_type: impl Fn(i32) -> Option<u32>,
        has_type: impl Fn(u32) -> bool,
    ) -> Result<Self, (Option<usize>, CrushFault)> {
        let count = spec.steps.len();
        if !(1..=STEPS_MAX).contains(&count) {
            return Err((None, CrushFault::StepCount { name: spec.name, count }));
        }
        // The type of what is in the working list, once something was taken.
        let mut held: Option<u32> = None;
        let mut yields_devices = true;
        let mut attempts = Attempts::new(tunables);
        for (at, step) in spec.steps.iter().enumerate() {
            let refuse = |fault| Err((Some(at), fault));
            match *step {
                Step::Take(item) => match item_type(item) {
                    Some(type_id) => held = Some(type_id),
                    None => return refuse(CrushFault::UnknownTake(item)),
                },
                Step::Choose(choice) => {
                    if held.is_none() {
                        return refuse(CrushFault::ChooseWithoutTake);
                    }
                    if !has_type(choice.type_id) {
                        return refuse(CrushFault::UnknownType(choice.type_id));
                    }
                    if !(-COUNT_MAX..=COUNT_MAX).contains(&choice.count) {
                        return refuse(CrushFault::Count(choice.count));
                    }
                    if choice.leaf && choice.order == Order::Indep && choice.type_id == DEVICE_TYPE {
                        return refuse(CrushFault::LeafOfDevice);
                    }
                    attempts.check_product(choice.leaf).map_err(|fault| (Some(at), fault))?;
                    if attempts.local_fallback_tries > 0 && items_most > FALLBACK_ITEMS_MAX {
                        return refuse(CrushFault::FallbackItems(items_most));
                    }
                    held = Some(if choice.leaf { DEVICE_TYPE } else { choice.type_id });
                }
                Step::Emit => match held.take() {
                    Some(type_id) => yields_devices &= type_id == DEVICE_TYPE,
                    None => return refuse(CrushFault::EmitWithoutTake),
                },
                _ => attempts.set(step).map_err(|fault| (Some(at), fault))?,
            }
        }
        if held.is_some() {
            return Err((None, CrushFault::NoEmit(spec.name)));
        }
        // A rule of settings alone yields nothing.
        yields_devices &= spec.steps.contains(&Step::Emit);
        Ok(Self { id: spec.id, name: spec.name, steps: spec.steps, yields_devices })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its steps: at least one; each `choose` and each `emit` has a `take` before it.
    #[inline]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What it takes, in order.
    pub fn takes(&self) -> impl Iterator<Item = i32> {
        self.steps.iter().filter_map(|step| match step {
            Step::Take(item) => Some(*item),
            _ => None,
        })
    }

    /// Whether all it emits are devices. Otherwise it ends with buckets, which hold no objects, or emits nothing.
    pub fn yields_devices(&self) -> bool {
        self.yields_devices
    }

    /// The type that the last `choose` or `chooseleaf` step whose items are not devices looks for: items of it are
    /// what replicas are kept apart by. [`DEVICE_TYPE`] where there is no such step.
    pub fn domain_type(&self) -> u32 {
        let types = self.steps.iter().rev().filter_map(|step| match step {
            Step::Choose(choice) => Some(choice.type_id),
            _ => None,
        });
        types.into_iter().find(|type_id| *type_id != DEVICE_TYPE).unwrap_or(DEVICE_TYPE)
    }
}

/// Checks the tunables of a map.
///
/// # Errors
/// The first that is out of bounds: its name, and what is wrong.
pub(super) fn check_tunables(spec: &CrushSpec) -> Result<(), (&'static str, CrushFault)> {
    let tunables = &spec.tunables;
    let tries = [
        ("choose_local_tries", tunables.choose_local_tries),
        ("choose_local_fallback_tries", tunables.choose_local_fallback_tries),
        // The first attempt comes on top.
        ("choose_total_tries", tunables.choose_total_tries.saturating_add(1)),
    ];
    for (name, given) in tries {
        check_tries(given).map_err(|fault| (name, fault))?;
    }
    check_vary_r(tunables.chooseleaf_vary_r).map_err(|fault| ("chooseleaf_vary_r", fault))
}

/// The attempts in force at a step of a rule.
struct Attempts {
    tries: u32,
    /// 0 unless a step set it.
    leaf_tries: u32,
    descend_once: bool,
    local_fallback_tries: u32,
}

impl Attempts {
    fn new(tunables: &Tunables) -> Self {
        let tries = tunables.choose_total_tries.saturating_add(1);
        Self {
            tries,
            leaf_tries: 0,
            descend_once: tunables.chooseleaf_descend_once,
            local_fallback_tries: tunables.choose_local_fallback_tries,
        }
    }

    fn set(&mut self, step: &Step) -> Result<(), CrushFault> {
        match *step {
            Step::SetChooseTries(given) => {
                check_tries(given)?;
                self.tries = if given > 0 { given } else { self.tries };
            }
            Step::SetChooseleafTries(given) => {
                check_tries(given)?;
                self.leaf_tries = if given > 0 { given } else { self.leaf_tries };
            }
            Step::SetChooseLocalTries(given) => check_tries(given)?,
            Step::SetChooseLocalFallbackTries(given) => {
                check_tries(given)?;
                self.local_fallback_tries = given;
            }
            Step::SetChooseleafVaryR(given) => check_vary_r(given)?,
            Step::SetChooseleafStable(_) | Step::Take(_) | Step::Choose(_) | Step::Emit => (),
        }
        Ok(())
    }

    fn check_product(&self, leaf: bool) -> Result<(), CrushFault> {
        let leaf_tries = match (leaf, self.leaf_tries, self.descend_once) {
            (false, ..) | (true, 0, true) => 1,
            (true, 0, false) => self.tries,
            (true, given, _) => given,
        };
        if self.tries.saturating_mul(leaf_tries) > TRIES_PRODUCT_MAX {
            return Err(CrushFault::TriesProduct { tries: self.tries, leaf_tries });
        }
        Ok(())
    }
}

fn check_tries(given: u32) -> Result<(), CrushFault> {
    if given > TRIES_MAX { Err(CrushFault::Tries { given }) } else { Ok(()) }
}

fn check_vary_r(given: u32) -> Result<(), CrushFault> {
    if given > VARY_R_MAX { Err(CrushFault::VaryR(given)) } else { Ok(()) }
}
