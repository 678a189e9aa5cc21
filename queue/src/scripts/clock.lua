-- Purpose: see whether Redis' clock was set back, by the administrator or because another node
--       became the master; and count anew what was written by the time it had before, a part at
--       a time. Whatever has a length waits for that length at most: leases, the next token of a
--       rate, delays.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (look; running, paced, scheduled, dead, cancelled: a part of that; done: all is
--       counted anew), 2 where the part begins (0 for the beginning)
-- Returns: {now ms; of look: how far the clock was set back in ms, or 0; of a part: where it goes on,
--       or 0; how many were counted anew}.
local what = ARGV[1]
local INDEX = {running = RUNNING, paced = PACED, scheduled = SCHEDULED, dead = DEAD, cancelled = CANCELLED}
local before = tonumber(redis.call('HGET', CONTROL, 'clock') or '0')
if what == 'look' and before > now then return {now, before - now, 0} end
if what == 'look' or what == 'done' then
  redis.call('HSET', CONTROL, 'clock', at)
  if what == 'done' then redis.call('PUBLISH', WAKE, at) end
  return {now, 0, 0}
end
local index = INDEX[what]
if not index then return redis.error_reply('ARGS clock: `' .. what .. '` has no times') end

-- A lease of an earlier version does not say how long it is.
local UNKNOWN_LEASE = 600000
-- When an entry comes up at the latest; `false` where that is when it says.
local function latest(name, score)
  if what == 'running' then
    return now + (tonumber(redis.call('HGET', LEASE .. name, 'ms')) or UNKNOWN_LEASE)
  elseif what == 'paced' then
    local limit = limit_of(name)
    -- Looking for a token that is not there yet does no harm.
    return now + (limit and limit.rate and math.ceil(2000 / limit.rate) or COUNTING_MS)
  end
  local text = fields_of(JOB .. name, 'state')[1]
  local state, since = string.match(text or '', '^(%a+) (%d+)')
  if state ~= what or tonumber(since) <= now then return false end
  become(JOB .. name, what, text)
  if what == 'dead' then
    local group = redis.call('HGET', JOB .. name, 'group')
    if group then redis.call('ZADD', MEMBERS .. group, 'XX', at, name) end
  end
  -- What is left of a delay; what has ended ended now.
  return what == 'scheduled' and now + math.max(0, score - tonumber(since)) or now
end
local part = redis.call('ZSCAN', index, ARGV[2], 'COUNT', '128')
local anew, n = {}, 0
for i = 1, #part[2], 2 do
  local name, score = part[2][i], tonumber(part[2][i + 1])
  local limit = latest(name, score)
  if limit and score > limit then
    n = n + 1
    anew[2 * n - 1], anew[2 * n] = int(limit), name
  end
end
for i = 1, n, 512 do
  redis.call('ZADD', index, 'XX', unpack(anew, 2 * i - 1, math.min(2 * n, 2 * i + 1022)))
end
return {now, tonumber(part[1]), n}
