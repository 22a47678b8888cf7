//! The grammar of text maps: tunables, devices and types, then buckets and rules. Nothing is decided here about how
//! the parts fit together, except that a name must be declared before it is used, as `crushtool` demands.

use std::collections::HashMap;

use super::shadow::{ShadowIds, Take};
use super::tokens::Tokens;
use super::{Lines, TextError, TextFault, TextMap};
use crate::cluster::crush::spec::{
    BUCKET_ID_MIN, BucketKind, BucketSpec, COUNT_MAX, Choice, CrushSpec, DEVICE_ID_MAX, DeviceSpec,
    ITEMS_MAX, ItemSpec, Order, RuleSpec, Step, StrawCalculation, TRIES_MAX, TYPE_ID_MAX, Tunables, TypeSpec,
    VARY_R_MAX, WEIGHT_ONE,
};

/// Reads a text map.
pub(super) fn parse(text: &str) -> Result<TextMap, TextError> {
    let mut parser = Parser::new(text);
    while let Some(word) = parser.tokens.peek() {
        match word {
            "tunable" => parser.tunable()?,
            "device" => parser.device()?,
            "type" => parser.type_line()?,
            "rule" => parser.rule()?,
            "choose_args" => return Err(parser.tokens.refuse(TextFault::ChooseArgs)),
            _ => parser.bucket()?,
        }
    }
    Ok(TextMap { spec: parser.spec, lines: parser.lines })
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    spec: CrushSpec,
    lines: Lines,
    /// The ids of devices and buckets.
    items: HashMap<&'a str, i32>,
    types: HashMap<&'a str, u32>,
    shadow_ids: ShadowIds,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            tokens: Tokens::new(text),
            spec: CrushSpec { tunables: Tunables::LEGACY, ..CrushSpec::default() },
            lines: Lines::default(),
            items: HashMap::new(),
            types: HashMap::new(),
            shadow_ids: ShadowIds::default(),
        }
    }

    /// Takes the first word of a line that must stand before the buckets and rules.
    fn head(&mut self, word: &'static str) -> Result<(), TextError> {
        if !self.lines.buckets.is_empty() || !self.lines.rules.is_empty() {
            return Err(self.tokens.refuse(TextFault::TooLate(word.to_owned())));
        }
        self.tokens.expect(word)
    }

    /// `tunable NAME VALUE`
    fn tunable(&mut self) -> Result<(), TextError> {
        let line = self.tokens.line();
        self.head("tunable")?;
        let unknown = |name: &str| TextError { line, fault: TextFault::UnknownTunable(name.to_owned()) };
        let (tokens, tunables) = (&mut self.tokens, &mut self.spec.tunables);
        let name = match tokens.name("the name of a tunable")? {
            "choose_local_tries" => {
                tunables.choose_local_tries = tokens.count("number of attempts", TRIES_MAX)?;
                "choose_local_tries"
            }
            "choose_local_fallback_tries" => {
                tunables.choose_local_fallback_tries = tokens.count("number of attempts", TRIES_MAX)?;
                "choose_local_fallback_tries"
            }
            "choose_total_tries" => {
                tunables.choose_total_tries = tokens.count("number of attempts", TRIES_MAX - 1)?;
                "choose_total_tries"
            }
            "chooseleaf_descend_once" => {
                tunables.chooseleaf_descend_once = tokens.flag("chooseleaf_descend_once")?;
                "chooseleaf_descend_once"
            }
            "chooseleaf_vary_r" => {
                tunables.chooseleaf_vary_r = tokens.count("chooseleaf_vary_r", VARY_R_MAX)?;
                "chooseleaf_vary_r"
            }
            "chooseleaf_stable" => {
                tunables.chooseleaf_stable = tokens.flag("chooseleaf_stable")?;
                "chooseleaf_stable"
            }
            "straw_calc_version" => {
                tunables.straw_calc_version = match tokens.flag("straw_calc_version")? {
                    false => StrawCalculation::Original,
                    true => StrawCalculation::Corrected,
                };
                "straw_calc_version"
            }
            "allowed_bucket_algs" => {
                tunables.allowed_bucket_algs = tokens.count("set of bucket algorithms", u32::MAX)?;
                "allowed_bucket_algs"
            }
            other => return Err(unknown(other)),
        };
        self.lines.tunables.insert(name, line);
        Ok(())
    }

    /// `device ID NAME [class CLASS]`
    fn device(&mut self) -> Result<(), TextError> {
        self.lines.devices.push(self.tokens.line());
        self.head("device")?;
        let id = self.tokens.number("device id", 0, DEVICE_ID_MAX.into())? as i32; // within these bounds
        let name = self.tokens.name("the name of a device")?;
        let class = self.class()?.map(str::to_owned);
        self.items.insert(name, id);
        self.spec.devices.push(DeviceSpec { id, name: name.to_owned(), class });
        Ok(())
    }

    /// `[class CLASS]`
    fn class(&mut self) -> Result<Option<&'a str>, TextError> {
        let given = self.tokens.take("class");
        if given { self.tokens.name("the name of a class").map(Some) } else { Ok(None) }
    }

    /// `type ID NAME`
    fn type_line(&mut self) -> Result<(), TextError> {
        self.lines.types.push(self.tokens.line());
        self.head("type")?;
        let id = self.tokens.count("type id", TYPE_ID_MAX)?;
        let name = self.tokens.name("the name of a type")?;
        self.types.insert(name, id);
        self.spec.types.push(TypeSpec { id, name: name.to_owned() });
        Ok(())
    }

    /// The type of the name that comes next.
    fn type_id(&mut self) -> Result<u32, TextError> {
        let line = self.tokens.line();
        let name = self.tokens.name("the name of a type")?;
        let known = self.types.get(name).copied();
        known.ok_or_else(|| TextError { line, fault: TextFault::UnknownType(name.to_owned()) })
    }

    /// The device or bucket of the name that comes next.
    fn item(&mut self) -> Result<(i32, &'a str), TextError> {
        let line = self.tokens.line();
        let name = self.tokens.name("the name of an item")?;
        let known = self.items.get(name).map(|id| (*id, name));
        known.ok_or_else(|| TextError { line, fault: TextFault::UnknownItem(name.to_owned()) })
    }

    /// `TYPE NAME {`, then `id ID [class CLASS]`, `alg KIND`, `hash 0`, and the items, then `}`
    fn bucket(&mut self) -> Result<(), TextError> {
        let line = self.tokens.line();
        let type_id = self.type_id()?;
        let name = self.tokens.name("the name of a bucket")?;
        self.tokens.expect("{")?;
        let one =
            |what| TextError { line, fault: TextFault::One { owner: format!("bucket {name}"), line: what } };
        let (mut id, mut kind, mut hashes, mut items) = (None, None, 0, Vec::new());
        let mut item_lines = Vec::new();
        while !self.tokens.take("}") {
            let item_line = self.tokens.line();
            match self.tokens.word("a line of a bucket, or }")? {
                "id" => {
                    let given = self.tokens.number("bucket id", BUCKET_ID_MIN.into(), -1)? as i32; // within bounds
                    match self.class()? {
                        None if id.replace(given).is_some() => return Err(one("id")),
                        None => (),
                        Some(class) => self.shadow_ids.add(name, class, given, item_line)?,
                    }
                }
                "alg" => {
                    let given = self.bucket_kind()?;
                    if kind.replace(given).is_some() {
                        return Err(one("alg"));
                    }
                }
                "hash" => {
                    hashes += 1;
                    self.hash()?;
                }
                "item" => {
                    items.push(self.bucket_item()?);
                    item_lines.push(item_line);
                }
                found => {
                    let expected = "id, alg, hash, item or }";
                    let fault = TextFault::Expected { expected, found: found.to_owned() };
                    return Err(TextError { line: item_line, fault });
                }
            }
        }
        let id = id.ok_or_else(|| one("id"))?;
        let kind = kind.ok_or_else(|| one("alg"))?;
        if hashes > 1 {
            return Err(one("hash"));
        }
        let positions = TextError { line, fault: TextFault::Positions(name.to_owned()) };
        let order = order_of(&items).ok_or(positions)?;
        let lines = order.iter().map(|at| item_lines[*at]).collect();
        let items = order.iter().map(|at| items[*at].0).collect();
        self.items.insert(name, id);
        let (name, shadow_class) = (name.to_owned(), None);
        self.spec.buckets.push(BucketSpec { id, name, type_id, kind, items, shadow_class });
        self.lines.buckets.push((line, lines));
        Ok(())
    }

    fn bucket_kind(&mut self) -> Result<BucketKind, TextError> {
        let line = self.tokens.line();
        let name = self.tokens.name("a bucket algorithm")?;
        let known = BucketKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| TextError { line, fault: TextFault::UnknownKind(name.to_owned()) })
    }

    fn hash(&mut self) -> Result<(), TextError> {
        let line = self.tokens.line();
        match self.tokens.name("the number of a hash")? {
            "0" | "rjenkins1" => Ok(()),
            other => Err(TextError { line, fault: TextFault::UnknownHash(other.to_owned()) }),
        }
    }

    /// `NAME weight WEIGHT [pos POSITION]`
    fn bucket_item(&mut self) -> Result<(ItemSpec, Option<usize>), TextError> {
        let (id, _) = self.item()?;
        self.tokens.expect("weight")?;
        let line = self.tokens.line();
        let text = self.tokens.name("a weight")?;
        let weight = parse_weight(text);
        let weight = weight.ok_or_else(|| TextError { line, fault: TextFault::Weight(text.to_owned()) })?;
        let position = match self.tokens.take("pos") {
            true => Some(self.tokens.count("position", ITEMS_MAX as u32 - 1)? as usize),
            false => None,
        };
        Ok((ItemSpec { id, weight }, position))
    }

    /// `rule NAME {`, then `id ID` or `ruleset ID`, `type TYPE`, the sizes it is for, and the steps, then `}`
    fn rule(&mut self) -> Result<(), TextError> {
        let line = self.tokens.line();
        self.tokens.expect("rule")?;
        let name = self.tokens.name("the name of a rule")?;
        self.tokens.expect("{")?;
        let one =
            |what| TextError { line, fault: TextFault::One { owner: format!("rule {name}"), line: what } };
        let (mut id, mut types) = (None, 0);
        let (mut steps, mut step_lines) = (Vec::new(), Vec::new());
        while !self.tokens.take("}") {
            let step_line = self.tokens.line();
            match self.tokens.word("a line of a rule, or }")? {
                "id" | "ruleset" => {
                    let given = self.tokens.count("rule id", u32::MAX)?;
                    if id.replace(given).is_some() {
                        return Err(one("id"));
                    }
                }
                "type" => {
                    types += 1;
                    self.rule_type()?;
                }
                // How many replicas there are is said by who follows the rule.
                "min_size" | "max_size" => {
                    self.tokens.count("number of replicas", u32::MAX)?;
                }
                "step" => {
                    steps.push(self.step()?);
                    step_lines.push(step_line);
                }
                found => {
                    let expected = "id, type, min_size, max_size, step or }";
                    let fault = TextFault::Expected { expected, found: found.to_owned() };
                    return Err(TextError { line: step_line, fault });
                }
            }
        }
        let id = id.ok_or_else(|| one("id"))?;
        if types != 1 {
            return Err(one("type"));
        }
        self.spec.rules.push(RuleSpec { id, name: name.to_owned(), steps });
        self.lines.rules.push((line, step_lines));
        Ok(())
    }

    fn rule_type(&mut self) -> Result<(), TextError> {
        match self.tokens.peek() {
            Some("replicated" | "erasure") => self.tokens.word("the type of a rule").map(|_| ()),
            _ => Err(self.tokens.unexpected("replicated or erasure")),
        }
    }

    /// What follows `step`.
    fn step(&mut self) -> Result<Step, TextError> {
        let line = self.tokens.line();
        let word = self.tokens.name("a step")?;
        let tries = |tokens: &mut Tokens| tokens.count("number of attempts", TRIES_MAX);
        Ok(match word {
            "take" => {
                let (item, name) = self.item()?;
                match self.class()? {
                    None => Step::Take(item),
                    Some(class) => {
                        let take = Take { line, name, item, class };
                        Step::Take(self.shadow_ids.build(take, &mut self.spec, &mut self.lines)?)
                    }
                }
            }
            "choose" | "chooseleaf" => {
                let leaf = word == "chooseleaf";
                let order = if self.tokens.take("firstn") {
                    Order::Firstn
                } else {
                    self.tokens.expect("indep").map_err(|_| self.tokens.unexpected("firstn or indep"))?;
                    Order::Indep
                };
                let most = i64::from(COUNT_MAX);
                let count = self.tokens.number("number of items", -most, most)? as i32;
                self.tokens.expect("type")?;
                Step::Choose(Choice { leaf, order, count, type_id: self.type_id()? })
            }
            "emit" => Step::Emit,
            "set_choose_tries" => Step::SetChooseTries(tries(&mut self.tokens)?),
            "set_chooseleaf_tries" => Step::SetChooseleafTries(tries(&mut self.tokens)?),
            "set_choose_local_tries" => Step::SetChooseLocalTries(tries(&mut self.tokens)?),
            "set_choose_local_fallback_tries" => Step::SetChooseLocalFallbackTries(tries(&mut self.tokens)?),
            "set_chooseleaf_vary_r" => {
                Step::SetChooseleafVaryR(self.tokens.count("chooseleaf_vary_r", VARY_R_MAX)?)
            }
            "set_chooseleaf_stable" => Step::SetChooseleafStable(self.tokens.flag("chooseleaf_stable")?),
            _ => {
                let fault = TextFault::Expected { expected: "a step", found: word.to_owned() };
                return Err(TextError { line, fault });
            }
        })
    }
}

/// A weight as fixed point: the single-precision value of the text times [`WEIGHT_ONE`], truncated.
fn parse_weight(text: &str) -> Option<u32> {
    // Rust would also read "inf" and "nan".
    if !text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) {
        return None;
    }
    let scaled = text.parse::<f32>().ok()? * WEIGHT_ONE as f32;
    (scaled >= 0.0 && scaled < u32::MAX as f32 && !text.starts_with('-')).then_some(scaled as u32)
}

/// The order of the items of a bucket: those with a position there, the others in the places left.
fn order_of(items: &[(ItemSpec, Option<usize>)]) -> Option<Vec<usize>> {
    let mut places: Vec<Option<usize>> = vec![None; items.len()];
    for (at, (_, position)) in items.iter().enumerate() {
        if let Some(position) = position
            && places.get_mut(*position)?.replace(at).is_some()
        {
            return None;
        }
    }
    let mut others = (0..items.len()).filter(|at| items[*at].1.is_none());
    places.into_iter().map(|place| place.or_else(|| others.next())).collect()
}
