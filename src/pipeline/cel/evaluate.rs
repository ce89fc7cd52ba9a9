//! An expression's value for one record: the walk over its tree.
//!
//! The caller lends the world (the record, tables, the time) and an arena; the value borrows from
//! both and from the program. What fails is a fault with its place, and operators that can do
//! without an operand do: `||`, `&&`, `?:` here, `all` and `exists` in `loops`.

use std::cell::Cell;

use crate::{
    codec,
    pipeline::cel::{
        Arena, Kind, Value, World, arithmetic, call,
        constant::Constant,
        convert, equal,
        fault::{Fault, Why, prefer},
        format,
        list::List,
        loops,
        map::Map,
        node::{Entry, How, Item, Node, Op, Test},
        time,
    },
};

/// One evaluation under way.
pub(super) struct Run<'a, 'w, W> {
    pub(super) world: &'w mut W,
    pub(super) arena: &'a Arena,
    pub(super) locals: &'a [Cell<Value<'a>>],
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a, W: World<'a>> Run<'a, '_, W> {
    /// The value of a node.
    #[inline]
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>> {
        match &node.op {
            Op::Constant(constant) => Ok(constant.value()),
            Op::Leaf(leaf) => self.world.leaf(*leaf, self.arena).map_err(|why| why.at(node.at)),
            Op::Local(local) => Ok(self.locals[usize::from(*local)].get()),
            Op::Test(_)
            | Op::Compare(..)
            | Op::Equal(_)
            | Op::NotEqual(_)
            | Op::And(_)
            | Op::Or(_)
            | Op::Not(_) => self.truth(node).map(Value::Bool),
            Op::Arithmetic(sign, operands) => {
                let left = self.value(&operands[0])?;
                let right = self.value(&operands[1])?;
                let value = arithmetic::apply(*sign, left, right, self.arena);
                value.map_err(|why| why.at(node.at))
            }
            Op::If(parts) => {
                let chosen = if self.truth(&parts[0])? { &parts[1] } else { &parts[2] };
                self.value(chosen)
            }
            _ => self.rare(node),
        }
    }

    /// The truth of a node that must be a boolean.
    #[inline]
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool> {
        match &node.op {
            Op::Test(test) => self.test(node.at, test),
            Op::Compare(comparison, operands) => {
                let left = self.value(&operands[0])?;
                let right = self.value(&operands[1])?;
                let order = equal::order(&left, &right).map_err(|why| why.at(node.at))?;
                Ok(order.is_some_and(|order| comparison.holds(order)))
            }
            Op::Equal(operands) => self.equal(node, operands),
            Op::NotEqual(operands) => self.equal(node, operands).map(|equal| !equal),
            Op::And(operands) => self.all(operands, false),
            Op::Or(operands) => self.all(operands, true),
            Op::Not(operand) => Ok(!self.truth(operand)?),
            _ => match self.value_of_no_condition(node)? {
                Value::Bool(truth) => Ok(truth),
                other => Err(Why::NoBool(other.kind()).at(node.at)),
            },
        }
    }

    /// Never a condition, so that the two functions do not call one another for ever.
    fn value_of_no_condition(&mut self, node: &'a Node) -> Result<Value<'a>> {
        self.value(node)
    }

    /// A number against a number and a text against a text are decided where they stand.
    #[inline]
    fn test(&mut self, at: u32, test: &'a Test) -> Result<bool> {
        let order = match (self.world.on_tape(test.leaf), &test.constant) {
            (Some(codec::Value::Text(left)), Constant::Text(right)) => {
                return match test.how {
                    How::Equal => Ok(*left == **right),
                    How::NotEqual => Ok(*left != **right),
                    How::Order(_) => self.test_any(at, test),
                };
            }
            (Some(codec::Value::Signed(left)), Constant::Int(right)) => left.cmp(right),
            (Some(codec::Value::Unsigned(left)), Constant::Int(right)) => {
                i128::from(left).cmp(&i128::from(*right))
            }
            _ => return self.test_any(at, test),
        };
        Ok(match test.how {
            How::Equal => order.is_eq(),
            How::NotEqual => order.is_ne(),
            How::Order(comparison) => comparison.holds(order),
        })
    }

    #[inline(never)]
    fn test_any(&mut self, at: u32, test: &'a Test) -> Result<bool> {
        let value = self.world.leaf(test.leaf, self.arena).map_err(|why| why.at(test.leaf_at))?;
        let right = test.constant.value();
        let decided = match test.how {
            How::Equal => equal::equal(&value, &right, self.arena),
            How::NotEqual => equal::equal(&value, &right, self.arena).map(|equal| !equal),
            How::Order(comparison) => equal::order(&value, &right)
                .map(|order| order.is_some_and(|order| comparison.holds(order))),
        };
        decided.map_err(|why| why.at(at))
    }

    fn equal(&mut self, node: &'a Node, operands: &'a [Node; 2]) -> Result<bool> {
        let left = self.value(&operands[0])?;
        let right = self.value(&operands[1])?;
        equal::equal(&left, &right, self.arena).map_err(|why| why.at(node.at))
    }

    /// `||` is decided by one true operand, `&&` by one false one, whatever the others are.
    fn all(&mut self, operands: &'a [Node], decides: bool) -> Result<bool> {
        let mut fault: Option<Fault> = None;
        for operand in operands {
            match self.truth(operand) {
                Ok(truth) if truth == decides => return Ok(decides),
                Ok(_) => {}
                Err(other) => fault = Some(fault.map_or(other, |first| prefer(first, other))),
            }
        }
        fault.map_or(Ok(!decides), Err)
    }

    #[inline(never)]
    fn rare(&mut self, node: &'a Node) -> Result<Value<'a>> {
        let at = node.at;
        let placed = |why: Why| why.at(at);
        match &node.op {
            Op::Select(select) => {
                let operand = self.value(&select.0)?;
                self.field(operand, &select.1).map_err(placed)
            }
            Op::Has(_) => self.has(node).map(Value::Bool),
            Op::Index(operands) => {
                let operand = self.value(&operands[0])?;
                let index = self.value(&operands[1])?;
                self.index(operand, index).map_err(placed)
            }
            Op::OptionalSelect(select) => {
                let operand = self.value(&select.0)?;
                let found = self.field(operand, &select.1);
                self.optional(found).map_err(placed)
            }
            Op::OptionalIndex(operands) => {
                let operand = self.value(&operands[0])?;
                let index = self.value(&operands[1])?;
                let found = self.index(operand, index);
                self.optional(found).map_err(placed)
            }
            Op::Negate(operand) => arithmetic::negate(self.value(operand)?).map_err(placed),
            Op::In(operands) => {
                let value = self.value(&operands[0])?;
                let whole = self.value(&operands[1])?;
                self.contains(whole, value).map_err(placed).map(Value::Bool)
            }
            Op::List(items) => self.list(node, items),
            Op::Map(entries) => self.map(node, entries),
            Op::Call(function, arguments) => self.call(node, *function, arguments),
            Op::Matches(operand) => match self.value(&operand.0)? {
                Value::Text(text) => Ok(Value::Bool(operand.1.is_match(text))),
                other => Err(placed(Why::Takes(other.kind()))),
            },
            Op::InZone(function, operand) => {
                let value = self.value(&operand.0)?;
                call::in_zone(*function, value, &operand.1).map_err(placed)
            }
            Op::Now => Ok(Value::Timestamp(self.world.now())),
            Op::Lookup(table, key) => self.lookup(node, *table, key),
            Op::Loop(it) => loops::run(self, node, it),
            Op::Bind(local, parts) => {
                let value = self.value(&parts[0])?;
                self.locals[usize::from(*local)].set(value);
                self.value(&parts[1])
            }
            Op::OptionalMap(local, flat, parts) => self.optional_map(node, *local, *flat, parts),
            Op::Unknown => Err(placed(Why::Unknown)),
            // The others are conditions and what `value` handles itself.
            _ => self.truth(node).map(Value::Bool),
        }
    }

    /// The field of a value; of an optional one an optional field.
    fn field(&self, operand: Value<'a>, name: &str) -> std::result::Result<Value<'a>, Why> {
        match operand {
            Value::Map(map) => map.field(name, self.arena).ok_or(Why::Absent),
            Value::Optional(None) => Ok(operand),
            Value::Optional(Some(inner)) => {
                let found = self.field(*inner, name);
                self.optional(found)
            }
            other => Err(Why::NoParts(other.kind())),
        }
    }

    fn index(&self, operand: Value<'a>, index: Value<'a>) -> std::result::Result<Value<'a>, Why> {
        match operand {
            Value::Map(map) if is_key(index.kind()) => {
                map.get(&index, self.arena).ok_or(Why::Absent)
            }
            Value::Map(_) => Err(Why::NoKey(index.kind())),
            Value::List(list) => {
                let number = match index {
                    Value::Int(number, _) => number,
                    Value::Uint(number, _) => i64::try_from(number).unwrap_or(i64::MAX),
                    Value::Double(number, _) if number.fract() == 0.0 => number as i64,
                    other => return Err(Why::TakesBoth(Kind::List, other.kind())),
                };
                let item = usize::try_from(number).ok().and_then(|at| list.get(at, self.arena));
                item.ok_or(Why::NoItem(number))
            }
            Value::Optional(None) => Ok(operand),
            Value::Optional(Some(inner)) => {
                let found = self.index(*inner, index);
                self.optional(found)
            }
            other => Err(Why::NoParts(other.kind())),
        }
    }

    /// What was found, or that it is absent, as an optional value.
    fn optional(
        &self,
        found: std::result::Result<Value<'a>, Why>,
    ) -> std::result::Result<Value<'a>, Why> {
        match found {
            Ok(already @ Value::Optional(_)) => Ok(already),
            Ok(value) => Ok(Value::Optional(Some(self.arena.keep(value)))),
            Err(Why::Absent | Why::NoItem(_)) => Ok(Value::Optional(None)),
            Err(why) => Err(why),
        }
    }

    fn has(&mut self, node: &'a Node) -> Result<bool> {
        let Op::Has(has) = &node.op else { return Ok(false) };
        let (operand, name, leaf) = &**has;
        if let Some(leaf) = leaf
            && self.world.leaf(*leaf, self.arena).is_ok()
        {
            return Ok(true);
        }
        match self.value(operand)? {
            Value::Map(map) => Ok(map.field(name, self.arena).is_some()),
            Value::Optional(None) => Ok(false),
            Value::Optional(Some(Value::Map(map))) => Ok(map.field(name, self.arena).is_some()),
            other => Err(Why::NoParts(other.kind()).at(node.at)),
        }
    }

    pub(super) fn contains(
        &self,
        whole: Value<'a>,
        value: Value<'a>,
    ) -> std::result::Result<bool, Why> {
        match whole {
            Value::List(List::Constant(items)) => {
                for item in items {
                    if equal::equal(&item.value(), &value, self.arena)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::List(list) => {
                let items = list.items(self.arena)?;
                self.arena.turn(items.len())?;
                for item in items {
                    if equal::equal(item, &value, self.arena)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(map) if is_key(value.kind()) => Ok(map.get(&value, self.arena).is_some()),
            Value::Map(_) => Err(Why::NoKey(value.kind())),
            other => Err(Why::TakesBoth(value.kind(), other.kind())),
        }
    }

    fn list(&mut self, node: &Node, items: &'a [Item]) -> Result<Value<'a>> {
        let made = self.arena.vector(items.len());
        let mut made = made.map_err(|why| why.at(node.at))?;
        for item in items {
            let value = self.value(&item.node)?;
            match (item.is_optional, value) {
                (false, value) => made.push(value),
                (true, Value::Optional(Some(value))) => made.push(*value),
                (true, Value::Optional(None)) => {}
                (true, other) => return Err(Why::Takes(other.kind()).at(item.node.at)),
            }
        }
        Ok(Value::List(List::Made(made.into_bump_slice())))
    }

    fn map(&mut self, node: &Node, entries: &'a [Entry]) -> Result<Value<'a>> {
        let made = self.arena.vector(entries.len());
        let mut made = made.map_err(|why| why.at(node.at))?;
        for entry in entries {
            let key = self.value(&entry.key)?;
            let value = self.value(&entry.value)?;
            let value = match (entry.is_optional, value) {
                (false, value) => value,
                (true, Value::Optional(Some(value))) => *value,
                (true, Value::Optional(None)) => continue,
                (true, other) => return Err(Why::Takes(other.kind()).at(entry.value.at)),
            };
            loops::insert(&mut made, key, value).map_err(|why| why.at(entry.key.at))?;
        }
        Ok(Value::Map(Map::Made(made.into_bump_slice())))
    }

    fn lookup(&mut self, node: &'a Node, table: usize, key: &'a Node) -> Result<Value<'a>> {
        let value = self.value(key)?;
        let bytes = match value {
            Value::Bytes(bytes) => bytes,
            _ if !value.is_key() => return Err(Why::NotKey(value.kind()).at(key.at)),
            _ => {
                let text = convert::to_text(value, self.arena);
                text.map_err(|why| why.at(key.at))?.as_bytes()
            }
        };
        self.world.lookup(table, bytes, self.arena).map_err(|why| why.at(node.at))
    }

    fn optional_map(
        &mut self,
        node: &Node,
        local: u16,
        flat: bool,
        parts: &'a [Node; 2],
    ) -> Result<Value<'a>> {
        match self.value(&parts[0])? {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => {
                self.locals[usize::from(local)].set(*inner);
                let value = self.value(&parts[1])?;
                match (flat, value) {
                    (true, Value::Optional(_)) => Ok(value),
                    (true, other) => Err(Why::Takes(other.kind()).at(node.at)),
                    (false, value) => Ok(Value::Optional(Some(self.arena.keep(value)))),
                }
            }
            other => Err(Why::Takes(other.kind()).at(node.at)),
        }
    }

    fn call(
        &mut self,
        node: &'a Node,
        function: call::Function,
        arguments: &'a [Node],
    ) -> Result<Value<'a>> {
        const FEW: usize = 4;
        let placed = |why: Why| why.at(node.at);
        if let call::Function::Format = function {
            let text = self.value(&arguments[0])?;
            let list = self.value(&arguments[1])?;
            return format::format(text, list, self.arena).map_err(placed);
        }
        if let call::Function::OptionalOr | call::Function::OptionalOrValue = function {
            return self.or_value(node, function, arguments);
        }
        if arguments.len() <= FEW {
            let mut values = [Value::Null; FEW];
            for (value, argument) in values.iter_mut().zip(arguments) {
                *value = self.value(argument)?;
            }
            return call::call(function, &values[..arguments.len()], self.arena).map_err(placed);
        }
        let mut values = self.arena.vector(arguments.len()).map_err(placed)?;
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        call::call(function, &values, self.arena).map_err(placed)
    }

    /// The second value is asked for only if the first one is not there.
    fn or_value(
        &mut self,
        node: &Node,
        function: call::Function,
        arguments: &'a [Node],
    ) -> Result<Value<'a>> {
        match (self.value(&arguments[0])?, function) {
            (Value::Optional(Some(value)), call::Function::OptionalOrValue) => Ok(*value),
            (value @ Value::Optional(Some(_)), _) => Ok(value),
            (Value::Optional(None), _) => self.value(&arguments[1]),
            (other, _) => Err(Why::Takes(other.kind()).at(node.at)),
        }
    }
}

/// What a map may be asked for. A double is no key, but may be as much as one.
fn is_key(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Int | Kind::Uint | Kind::Double | Kind::Bool)
}

/// The part of a time or of a duration.
pub(super) fn time_part(
    value: Value<'_>,
    part: time::Part,
    zone: Option<&jiff::tz::TimeZone>,
) -> std::result::Result<i64, Why> {
    match value {
        Value::Timestamp(at) => Ok(time::part(at, part, zone)),
        Value::Duration(nanos) if zone.is_none() => {
            time::duration_part(nanos, part).ok_or(Why::Takes(Kind::Duration))
        }
        other => Err(Why::Takes(other.kind())),
    }
}
