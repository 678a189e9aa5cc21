-- Limits on how many jobs run and start. `cx.limits` has what the call knows of each key:
-- a limit, or false for a key without one.
-- include: int, bucket, running

-- Reads the limits of some keys at once, and how many jobs count for each.
local function learn(cx, keys)
  local limits, unknown = cx.limits, {}
  for _, key in ipairs(keys) do
    if limits[key] == nil then
      limits[key] = false
      unknown[#unknown + 1] = key
    end
  end
  if #unknown == 0 then return end
  local texts = redis.call('HMGET', LIMITS, unpack(unknown))
  local counts = redis.call('HMGET', HOLDING, unpack(unknown))
  if cx.some_reserved == nil then
    cx.some_reserved = redis.call('EXISTS', PROMISED, COUNTING) > 0
  end
  local reserved = cx.some_reserved and redis.call('HMGET', PROMISED, unpack(unknown))
  local counting = cx.some_reserved and redis.call('HMGET', COUNTING, unpack(unknown))
  for i, key in ipairs(unknown) do
    local limit = texts[i] and read_limit(key, texts[i])
    if limit then
      limit.holding = tonumber(counts[i] or '0')
      limit.reserved = reserved and reserved[i] or false
      -- Jobs that ran before a limit on concurrency was set are counted in several calls. Until
      -- this time (ms) none start under the key.
      limit.counting = tonumber(counting and counting[i] or '0')
      -- The clock was set back: no counting takes so long.
      if limit.counting > cx.now + COUNTING_MS then limit.counting = 0 end
      limits[key] = limit
    end
  end
end
local function limit_of(cx, key)
  if cx.limits[key] == nil then learn(cx, {key}) end
  return cx.limits[key]
end

-- Counts n jobs for a limit; a negative n gives slots back. `store_held` writes the counts.
local function hold(limit, n)
  limit.holding = limit.holding + n
  limit.changed = true
end
local function store_held(cx)
  local some, none = {}, {}
  for key, limit in pairs(cx.limits) do
    if limit and limit.changed then
      limit.changed = false
      if limit.holding > 0 then
        some[#some + 1] = key
        some[#some + 1] = int(limit.holding)
      else
        none[#none + 1] = key
      end
    end
  end
  if #some > 0 then redis.call('HSET', HOLDING, unpack(some)) end
  if #none > 0 then redis.call('HDEL', HOLDING, unpack(none)) end
end

local function store_bucket(cx, key, tokens)
  redis.call('HSET', BUCKETS, key, string.format('%.6f %.0f', math.max(0, tokens), cx.us))
end
-- The tokens of a key that has a rate.
local function tokens_of(cx, key, limit)
  local stored = redis.call('HGET', BUCKETS, key)
  if not stored then return limit.burst end
  local left, since = string.match(stored, '^(%S+) (%S+)$')
  left, since = tonumber(left), tonumber(since)
  if since > cx.us then
    -- The clock was set back: more tokens come from now on.
    store_bucket(cx, key, left)
    since = cx.us
  end
  return refilled(left, since, cx.us, limit.rate, limit.burst)
end

-- How many jobs of any lane may start now under a key; below 0 where the reserved slot was
-- taken. Computed once a call, then kept up to date in `limit.room`.
local function room_of(cx, key, limit)
  if limit.room then return limit.room end
  local room = math.huge
  if limit.concurrency then
    room = limit.concurrency - (key == 'queue' and running_now(cx) or limit.holding)
  end
  if limit.rate then
    limit.tokens = tokens_of(cx, key, limit)
    room = math.min(room, whole_tokens(limit.tokens))
  end
  if limit.reserved then room = room - 1 end
  if limit.counting > cx.now then room = math.min(room, 0) end
  limit.room = room
  limit.taken = 0
  return room
end
