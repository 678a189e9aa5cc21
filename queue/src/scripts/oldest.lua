-- Purpose: name jobs that have not ended, among which the oldest ones are: the first of up to
--       OLDEST_OF of what each state is ordered by, and MAX_BATCH ready ones of a class. Where a
--       state has more, an older one may be missing.
-- KEYS: 1 control, 2 none
-- ARGV: none
-- Returns: {id...}; an id may come twice, and its job may have ended.
-- include: open, int
local cx = open()
if cx.err then return cx end
local ids, last = {}, int(OLDEST_OF - 1)
local function add(found)
  for _, id in ipairs(found) do
    if id ~= '*' then ids[#ids + 1] = id end
  end
end
add(redis.call('ZRANGE', PARKED, '0', last))
add(redis.call('ZRANGE', SCHEDULED, '0', last))
-- The longest waits come last.
add(redis.call('ZRANGE', SCHEDULED, int(-OLDEST_OF), '-1'))
for class = 0, CLASSES - 1 do
  local name = int(class)
  -- Lanes by turn, and those that a limit holds back as well.
  local lanes = redis.call('ZRANGE', RING .. name, '0', last)
  for _, flow in ipairs(redis.call('ZRANGE', LANES .. name, '0', last)) do lanes[#lanes + 1] = flow end
  -- Jobs of several routes wait in a lane, the oldest one of the lane first, behind a mark.
  local upto = int(math.max(2, math.floor(MAX_BATCH / math.max(1, #lanes))))
  for _, flow in ipairs(lanes) do
    add(redis.call('LRANGE', LANE .. name .. ':' .. flow, '0', upto))
    add(redis.call('ZRANGE', PLACED .. name .. ':' .. flow, '0', '0'))
  end
end
local n = 0
for _, claim in ipairs(redis.call('ZRANGE', RUNNING, '0', last)) do
  for id in string.gmatch(redis.call('HGET', LEASE .. claim, 'ids') or '', '%S+') do
    if n >= MAX_BATCH then break end
    n = n + 1
    ids[#ids + 1] = id
  end
end
return ids
