-- Purpose: see whether Redis' clock was set back, by an administrator or because another node
--       became the master; and compute the times that were written by the earlier clock again, a
--       part at a time. Leases, the next token of a rate, and delays then last no longer than
--       their own length.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (look; running, paced, scheduled, dead, cancelled, workers: a part of that index; done: all
--       parts are done), 2 where the part begins (0 for the beginning)
-- Returns: {now ms; of look: how far the clock was set back in ms, or 0; of a part: where the next
--       part begins, or 0; how many times were computed again}.
-- include: open, int, state, limits
local cx = open()
if cx.err then return cx end
local what = ARGV[1]
local INDEX = {running = RUNNING, paced = PACED, scheduled = SCHEDULED, dead = DEAD, cancelled = CANCELLED, workers = WORKERS}
local before = tonumber(redis.call('HGET', CONTROL, 'clock') or '0')
if what == 'look' and before > cx.now then return {cx.now, before - cx.now, 0} end
if what == 'look' or what == 'done' then
  redis.call('HSET', CONTROL, 'clock', cx.at)
  if what == 'done' then redis.call('PUBLISH', WAKE, cx.at) end
  return {cx.now, 0, 0}
end
local index = INDEX[what]
if not index then return redis.error_reply('ARGS clock: `' .. what .. '` has no times') end

-- When an entry comes up at the latest; `false` where its score stands. A lease of an earlier
-- version does not say how long it is.
local function latest(name, score)
  if what == 'running' then
    return cx.now + (tonumber(redis.call('HGET', LEASE .. name, 'ms')) or UNKNOWN_LEASE_MS)
  elseif what == 'workers' then
    local facts = redis.call('HGET', WORKER_FACTS, name) or ''
    return cx.now + (tonumber(string.match(facts, '"lasts":(%d+)')) or UNKNOWN_LEASE_MS)
  elseif what == 'paced' then
    local limit = limit_of(cx, name)
    -- Looking for a token too early does no harm.
    return cx.now + (limit and limit.rate and math.ceil(2000 / limit.rate) or COUNTING_MS)
  end
  local text = fields_of(JOB .. name, 'state')[1]
  local state, since = string.match(text or '', '^(%a+) (%d+)')
  if state ~= what or tonumber(since) <= cx.now then return false end
  become(cx, JOB .. name, what, text)
  if what == 'dead' then
    local group = redis.call('HGET', JOB .. name, 'group')
    if group then redis.call('ZADD', MEMBERS .. group, 'XX', cx.at, name) end
  end
  -- What is left of a delay; a job that has ended counts as ended now.
  return what == 'scheduled' and cx.now + math.max(0, score - tonumber(since)) or cx.now
end
local part = redis.call('ZSCAN', index, ARGV[2], 'COUNT', MAX_BATCH)
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
return {cx.now, tonumber(part[1]), n}
