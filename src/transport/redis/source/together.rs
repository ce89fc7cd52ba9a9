//! Exactly once: entries are acknowledged and results added by one script, or neither.
//!
//! The script first looks whether every entry of the commit is still pending for this consumer. If
//! one is not, because another one claimed it while this one was slow or frozen, or because the
//! script ran before and its answer was lost, it does nothing; then the engine takes the results
//! back and goes on with what is still its own. So whatever comes late, twice, or over a connection
//! that was given up does no harm. What else could fail is looked at before anything is written: a
//! script that breaks off is not undone. A server without memory refuses the first command that
//! needs some, unless the script has written before; so results come before acknowledgements.

use super::Group;
use crate::{
    record::PartitionId,
    transport::redis::{
        entry_id::{EntryId, ID_BYTES},
        resp,
        staged::Staging,
        unacked::Unacked,
    },
};

/// Zero if all was done; else that many entries are not this consumer's, and nothing was.
pub(super) const TOGETHER: &[u8] = b"\
local function may(...)
  return not redis.acl_check_cmd or redis.acl_check_cmd(...)
end
local group, consumer, deletes = ARGV[1], ARGV[2], ARGV[3] == '1'
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  local name = ARGV[at]
  local kind = redis.call('TYPE', name).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. name .. ' is no stream')
  end
  if not may('XADD', name, '*', 'a', 'b') then
    return redis.error_reply('NOPERM no right to XADD ' .. name)
  end
  at = at + 1
end
local parts, missing = {}, 0
local count = tonumber(ARGV[at])
at = at + 1
for _ = 1, count do
  local name, ids, low, high = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local first, last, mine = at + 4, at + 3 + ids, {}
  if not may('XPENDING', name, group) then
    return redis.error_reply('NOPERM no right to XPENDING ' .. name)
  end
  if not may('XACK', name, group, low) then
    return redis.error_reply('NOPERM no right to XACK ' .. name)
  end
  if deletes and not may('XDEL', name, low) then
    return redis.error_reply('NOPERM no right to XDEL ' .. name)
  end
  local pending = redis.call('XPENDING', name, group, low, high, 10000000, consumer)
  for _, it in ipairs(pending) do mine[it[1]] = true end
  for i = first, last do if not mine[ARGV[i]] then missing = missing + 1 end end
  parts[#parts + 1] = {name, first, last}
  at = last + 1
end
if missing > 0 then return missing end
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local added = redis.pcall('XADD', unpack(ARGV, at + 1, at + words))
  if type(added) == 'table' and added.err then return added end
  at = at + words + 1
end
for _, part in ipairs(parts) do
  for i = part[2], part[3], 1000 do
    local last = math.min(i + 999, part[3])
    redis.call('XACK', part[1], group, unpack(ARGV, i, last))
    if deletes then redis.call('XDEL', part[1], unpack(ARGV, i, last)) end
  end
end
return 0";

/// Writes the script's call for a commit of these positions; how many entries it acknowledges.
pub(super) fn write(
    out: &mut Vec<u8>,
    (group, streams, unacked): (&Group, &[String], &Unacked),
    positions: &[(PartitionId, i64)],
    deletes: bool,
    staging: &Staging,
) -> u64 {
    let count = |&(PartitionId(stream), position): &(PartitionId, i64)| {
        unacked.count_below(usize::from(stream), position)
    };
    let ids: usize = positions.iter().map(count).sum();
    let parts = positions.iter().filter(|it| count(it) > 0);
    let heads = parts.clone().count();
    staging.with(|stage| {
        let arguments = 5 + staging.streams().len() + 4 * heads + ids + stage.words;
        resp::begin(out, 3 + arguments);
        for word in [b"EVAL", TOGETHER, b"0", group.name(), group.consumer()] {
            resp::word(out, word);
        }
        resp::word(out, if deletes { b"1" } else { b"0" });
        resp::number(out, staging.streams().len() as u64);
        staging.streams().iter().for_each(|it| resp::word(out, it.as_bytes()));
        resp::number(out, heads as u64);
        for part @ &(PartitionId(stream), position) in parts {
            let stream = usize::from(stream);
            resp::word(out, streams[stream].as_bytes());
            resp::number(out, count(part) as u64);
            let ids = || unacked.below(stream, position);
            let mut id = |id: EntryId| resp::word(out, id.write(&mut [0; ID_BYTES]));
            id(ids().min().unwrap_or_default());
            id(ids().max().unwrap_or_default());
            ids().for_each(id);
        }
        out.extend_from_slice(&stage.bytes);
    });
    ids as u64
}
