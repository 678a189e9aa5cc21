-- Purpose: set or clear one limit, weight or pause, and release what it does not hold any more.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (limit, give_up, counted, pause, resume, pause_kind, resume_kind), 2 limit key
--       or kind ('' for the queue's own pause), 3 for a limit: `concurrency|tokens a
--       second|burst|weight`, '' to clear it, and 4, 5 the version of the configuration that it
--       belongs to and when that was stored (ms), if to any; for counted: what was answered as the claim;
--       for give_up: other keys that have a reservation (from here on, at most 32)
-- Returns: {again, claim, reserved, refused}: 1 when more lanes wait than one call lets in and there is
--       room for them: the caller repeats the call; the claim up to which the caller counts the
--       jobs that run already (recount), before it says that they are counted (counted), or 0;
--       1 when other keys have reservations (give_up); 1 when another version is stored: nothing
--       was set then.
-- include: open, int, flow, limits, running, reservations, release_lanes
local cx = open()
if cx.err then return cx end
local what, key = ARGV[1], ARGV[2]
if what == 'limit' and ARGV[3] ~= '' then
  local concurrency, rate, _, weight = string.match(ARGV[3], '^(%d*)|([^|]*)|(%d*)|([^|]*)$')
  local function is_within(text, least, most)
    local number = tonumber(text)
    -- Neither comparison is true of NaN.
    return text == '' or number and number >= least and number <= most
  end
  if not concurrency or not is_within(rate, SLOWEST, FASTEST) or not is_within(weight, LIGHTEST, HEAVIEST) then
    return redis.error_reply('ARGS limit: `' .. ARGV[3] .. '` is no limit that can be kept')
  end
end
local again, counting, some_reserved, refused = 0, 0, 0, 0
if what == 'limit' and ARGV[4] then
  local now = redis.call('HMGET', CONFIGURATION, 'version', 'at')
  if now[1] ~= ARGV[4] or now[2] ~= ARGV[5] then refused = 1 end
end
local function let_go()
  release_lanes(cx, key)
  -- More lanes wait than one call lets in, and there is room for them.
  local limit = limit_of(cx, key)
  if redis.call('EXISTS', BLOCKED .. key) == 1 and (not limit or room_of(cx, key, limit) > LANES_LET_IN) then again = 1 end
end
-- Ends the reservations of lanes that need the changed key: the key may come at another position
-- of their order now, or be closed.
local function give_up(lane)
  local some = false
  for _, other in ipairs(flow_of(cx, string.sub(lane, 3)).keys) do
    local kept = other ~= key and limit_of(cx, other)
    if kept and kept.reserved == lane then
      end_reservation(cx, kept)
      release_lanes(cx, other)
      some = true
    end
  end
  return some
end
if refused == 1 then
  -- The caller may have set it by an earlier call, and let in some of the lanes only.
  let_go()
elseif what == 'limit' then
  redis.call('HDEL', PROMISED, key)
  if redis.call('EXISTS', PROMISED) == 1 then
    for _, lane in ipairs(redis.call('ZRANGE', BLOCKED .. key, '0', int(RESERVATIONS_GIVEN_UP - 1))) do give_up(lane) end
    some_reserved = redis.call('EXISTS', PROMISED)
  end
  if ARGV[3] == '' then
    redis.call('HDEL', LIMITS, key)
    redis.call('HDEL', BUCKETS, key)
    redis.call('HDEL', HOLDING, key)
    redis.call('DEL', HOLDERS .. key)
    redis.call('ZREM', PACED, key)
    redis.call('HDEL', COUNTING, key)
  else
    -- A limit that counts already continues to count.
    local before, since = limit_of(cx, key), ''
    -- Tokens of the previous rate came at that rate.
    if before and before.rate and redis.call('HEXISTS', BUCKETS, key) == 1 then
      store_bucket(cx, key, tokens_of(cx, key, before))
    end
    cx.limits[key] = nil
    if string.match(ARGV[3], '^%d') then
      if before and before.concurrency then
        since = before.since
        if redis.call('HEXISTS', COUNTING, key) == 1 then counting = since end
      elseif key ~= 'queue' and running_now(cx) > 0 then
        -- The limit gets a number of its own, so that the counting for a limit that was cleared
        -- meanwhile does not pass for the counting for this one.
        since = redis.call('HINCRBY', CONTROL, 'claims', 1)
        counting, cx.some_reserved = since, true
        redis.call('HSET', COUNTING, key, int(cx.now + COUNTING_MS))
      else
        -- The number of running jobs of the whole queue is known.
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
    cx.limited = true
  end
  -- Lanes that waited find out what holds them now.
  let_go()
  if ARGV[3] == '' then
    if redis.call('EXISTS', LIMITS, HELD) == 0 then
      redis.call('HDEL', CONTROL, 'limited')
      redis.call('UNLINK', PASSED)
    end
  end
elseif what == 'give_up' then
  local some = false
  for i = 3, math.min(#ARGV, RESERVATIONS_GIVEN_UP + 2) do
    local lane = redis.call('HGET', PROMISED, ARGV[i])
    for _, each in ipairs(lane and flow_of(cx, string.sub(lane, 3)).keys or {}) do
      if each == key and give_up(lane) then some = true end
    end
  end
  if not some then return {0, 0, 0} end
elseif what == 'counted' then
  local limit = limit_of(cx, key)
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
  -- Jobs of an earlier resume that are not released yet stay parked.
  redis.call('HDEL', RELEASING, 'resume ' .. key)
  redis.call('HSET', CONTROL, 'paused_kinds', 1)
elseif what == 'resume_kind' then
  redis.call('SREM', PAUSED_KINDS, key)
  if redis.call('EXISTS', PAUSED_KINDS) == 0 then redis.call('HDEL', CONTROL, 'paused_kinds') end
else
  return redis.error_reply('ARGS limit: `' .. what .. '` cannot be set')
end
redis.call('PUBLISH', WAKE, cx.at)
return {again, counting, some_reserved, refused}
