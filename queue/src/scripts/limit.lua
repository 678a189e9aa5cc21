-- Purpose: set or clear one limit, weight or pause, and let go what it no longer holds.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (limit, give_up, counted, pause, resume, pause_kind, resume_kind), 2 limit key
--       or kind ('' for the queue's own pause), 3 for a limit: `concurrency|tokens a
--       second|burst|weight`, '' to clear it; for counted: what was answered as the claim;
--       for give_up: other keys under which a place is kept (from here on, at most 32)
-- Returns: {again, claim, kept}: 1 when more lanes wait than one call lets in, and there
--       is room for them: to be repeated; the claim up to which jobs that run already are to
--       be counted (recount), and then it is to be said that they are (counted), or 0; 1 when
--       places are kept under other keys (give_up).
local what, key = ARGV[1], ARGV[2]
if what == 'limit' and ARGV[3] ~= '' then
  local concurrency, rate, burst, weight = string.match(ARGV[3], '^(%d*)|([^|]*)|(%d*)|([^|]*)$')
  local function is_within(text, least, most)
    local number = tonumber(text)
    -- Neither comparison is true of NaN.
    return text == '' or number and number >= least and number <= most
  end
  if not concurrency or not is_within(rate, SLOWEST, FASTEST) or not is_within(weight, 0.001, 1000) then
    return redis.error_reply('ARGS limit: `' .. ARGV[3] .. '` is no limit that can be kept')
  end
end
local again, counting, some_kept = 0, 0, 0
local function let_go()
  release_lanes(key)
  -- More lanes than one call lets in, and room for them.
  local limit = limit_of(key)
  if redis.call('EXISTS', BLOCKED .. key) == 1 and (not limit or room_of(key, limit) > 32) then again = 1 end
end
-- What is kept for lanes that need a key that was changed is given up: it may come in
-- another order from now on, or be closed.
local GIVEN_UP = 32
local function give_up(lane)
  local some = false
  for _, other in ipairs(keys_of(string.sub(lane, 3))) do
    local kept = other ~= key and limit_of(other)
    if kept and kept.promised == lane then
      end_promise(kept)
      release_lanes(other)
      some = true
    end
  end
  return some
end
if what == 'limit' then
  redis.call('HDEL', PROMISED, key)
  if redis.call('EXISTS', PROMISED) == 1 then
    for _, lane in ipairs(redis.call('ZRANGE', BLOCKED .. key, '0', int(GIVEN_UP - 1))) do give_up(lane) end
    some_kept = redis.call('EXISTS', PROMISED)
  end
  if ARGV[3] == '' then
    redis.call('HDEL', LIMITS, key)
    redis.call('HDEL', BUCKETS, key)
    redis.call('HDEL', HOLDING, key)
    redis.call('DEL', HOLDERS .. key)
    redis.call('ZREM', PACED, key)
    redis.call('HDEL', COUNTING, key)
  else
    -- One that counts already goes on counting.
    local before, since = limit_of(key), ''
    -- What came at the rate of before came at that rate.
    if before and before.rate and redis.call('HEXISTS', BUCKETS, key) == 1 then
      store_bucket(key, tokens_of(key, before))
    end
    limits[key] = nil
    if string.match(ARGV[3], '^%d') then
      if before and before.concurrency then
        since = before.since
        if redis.call('HEXISTS', COUNTING, key) == 1 then counting = since end
      elseif key ~= 'queue' and running_now() > 0 then
        -- A number of its own, so that nobody says of this limit that its jobs are counted
        -- who counted for one that was cleared meanwhile.
        since = redis.call('HINCRBY', CONTROL, 'claims', 1)
        counting, some_counting = since, true
        redis.call('HSET', COUNTING, key, int(now + COUNTING_MS))
      else
        -- What runs of the whole queue is known.
        since = redis.call('HGET', CONTROL, 'claims') or 0
      end
    else
      redis.call('HDEL', HOLDING, key)
      redis.call('HDEL', COUNTING, key)
      redis.call('DEL', HOLDERS .. key)
    end
    redis.call('HSET', LIMITS, key, ARGV[3] .. '|' .. since)
    if not string.match(ARGV[3], '^[^|]*|[^|]') then redis.call('HDEL', BUCKETS, key) end
    redis.call('HSET', CONTROL, 'limited', 1)
    limited = true
  end
  -- Rates of before are not owed; lanes that waited find out what holds them now.
  let_go()
  if ARGV[3] == '' then
    if redis.call('EXISTS', LIMITS, HELD) == 0 then
      redis.call('HDEL', CONTROL, 'limited')
      redis.call('UNLINK', PASSED)
    end
  end
elseif what == 'give_up' then
  local some = false
  for i = 3, math.min(#ARGV, GIVEN_UP + 2) do
    local lane = redis.call('HGET', PROMISED, ARGV[i])
    for _, each in ipairs(lane and keys_of(string.sub(lane, 3)) or NONE) do
      if each == key and give_up(lane) then some = true end
    end
  end
  if not some then return {0, 0, 0} end
elseif what == 'counted' then
  local limit = limit_of(key)
  if limit and limit.since == tonumber(ARGV[3]) then
    redis.call('HDEL', COUNTING, key)
    limit.counting, limit.room = 0, false
    let_go()
  end
elseif what == 'pause' then
  redis.call('HSET', CONTROL, 'paused', 1)
elseif what == 'resume' then
  redis.call('HDEL', CONTROL, 'paused')
elseif what == 'pause_kind' then
  redis.call('SADD', PAUSED_KINDS, key)
  -- What was resumed and is not yet let go stays where it is.
  redis.call('HDEL', RELEASING, 'resume ' .. key)
  redis.call('HSET', CONTROL, 'paused_kinds', 1)
elseif what == 'resume_kind' then
  redis.call('SREM', PAUSED_KINDS, key)
  if redis.call('EXISTS', PAUSED_KINDS) == 0 then redis.call('HDEL', CONTROL, 'paused_kinds') end
else
  return redis.error_reply('ARGS limit: `' .. what .. '` is nothing that can be set')
end
redis.call('PUBLISH', WAKE, at)
return {again, counting, some_kept}
