-- Part of what the scripts share: limits on how many jobs run and start.

-- A limit is stored as `concurrency|tokens a second|burst|weight|since`, with
-- an empty part where it does not limit. Running jobs of claims behind `since` are
-- counted; those that ran before a limit on concurrency was set are counted if `holders`
-- has them.
local limits = {}
-- A lane that finds room under one of its keys and none under another may lose the one
-- while it waits for the other. One that was passed over so often has the next place under
-- those that it finds free kept for it: `promised` has the lane, by key. It is kept from
-- lanes of its class and of lower ones.
local some_promised = nil
-- Jobs that ran before a limit on concurrency was set are counted by whoever sets it, in
-- several calls; until then, or the time in `counting`, none start under the key.
local some_counting, COUNTING_MS = nil, 10000
local SLOWEST, FASTEST = 0.000001, 1000000
-- Reads the limits of some keys at once, and how many jobs count for each.
local function learn(keys)
  local unknown = {}
  for _, key in ipairs(keys) do
    if limits[key] == nil then
      limits[key] = false
      unknown[#unknown + 1] = key
    end
  end
  if #unknown == 0 then return end
  local texts = redis.call('HMGET', LIMITS, unpack(unknown))
  local counts = redis.call('HMGET', HOLDING, unpack(unknown))
  if some_promised == nil then
    local some = redis.call('EXISTS', PROMISED, COUNTING) > 0
    some_promised, some_counting = some, some_counting or some
  end
  local promised = some_promised and redis.call('HMGET', PROMISED, unpack(unknown)) or NONE
  local counting = some_counting and redis.call('HMGET', COUNTING, unpack(unknown)) or NONE
  for i, key in ipairs(unknown) do
    if texts[i] then
      local concurrency, rate, burst, weight, since =
        string.match(texts[i], '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(%d*)$')
      local limit = {
        key = key, concurrency = tonumber(concurrency), since = tonumber(since) or 0, weight = tonumber(weight),
        holding = tonumber(counts[i] or '0'), changed = false, room = false, taken = 0,
        promised = promised[i] or false, counting = tonumber(counting[i] or '0'),
      }
      -- The clock was set back; nobody counts for so long.
      if limit.counting > now + COUNTING_MS then limit.counting = 0 end
      -- One of an earlier version may be too slow for the time of a next job, or none.
      if rate ~= '' then
        limit.rate, limit.burst = tonumber(rate), tonumber(burst) or 1
        if not (limit.rate and limit.rate >= SLOWEST) then limit.rate = SLOWEST end
      end
      limits[key] = limit
    end
  end
end
local function limit_of(key)
  if limits[key] == nil then learn({key}) end
  return limits[key]
end
-- Counts jobs for a limit, or some less. What came of it is stored at the end.
local function hold(limit, n)
  limit.holding = limit.holding + n
  limit.changed = true
end
local function store_held()
  local some, none = {}, {}
  for key, limit in pairs(limits) do
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
local function store_bucket(key, tokens)
  redis.call('HSET', BUCKETS, key, string.format('%.6f %.0f', math.max(0, tokens), us))
end
-- The tokens of a key that has a rate.
local function tokens_of(key, limit)
  local stored = redis.call('HGET', BUCKETS, key)
  if not stored then return limit.burst end
  local left, since = string.match(stored, '^(%S+) (%S+)$')
  left, since = tonumber(left), tonumber(since)
  if since > us then
    -- The clock was set back: more come from now on.
    store_bucket(key, left)
    since = us
  end
  return math.min(limit.burst, left + (us - since) / 1000000 * limit.rate)
end
-- How many jobs of any lane may start now under a key; less than none where the place that
-- is kept was taken. Remembered within the call.
local function room_of(key, limit)
  if limit.room then return limit.room end
  local room = 1e9
  if limit.concurrency then
    room = limit.concurrency - (key == 'queue' and running_now() or limit.holding)
  end
  if limit.rate then
    local tokens = tokens_of(key, limit)
    limit.tokens = tokens
    -- A hair below a whole token is a whole one: it has come by the time it is asked for.
    room = math.min(room, math.floor(tokens + 0.000001))
  end
  if limit.promised then room = room - 1 end
  if limit.counting > now then room = math.min(room, 0) end
  limit.room = room
  limit.taken = 0
  return room
end
-- Whether the place that is kept is one for lanes of this class.
local function goes_before(class, limit)
  return limit.promised and class < string.sub(limit.promised, 1, 1)
end
local function promise(limit, lane)
  limit.promised, limit.room, some_promised = lane, limit.room - 1, true
  redis.call('HSET', PROMISED, limit.key, lane)
end
-- What was kept is room for jobs that are parked for their kind: no lane waits for them, so
-- whoever ends it wakes those that could run them.
local promise_ended = false
local function end_promise(limit)
  limit.promised, promise_ended = false, true
  if limit.room and limit.counting <= now then limit.room = limit.room + 1 end
  redis.call('HDEL', PROMISED, limit.key)
end
-- Nothing is kept for a lane that has no jobs. True when something was.
local function end_empty_promise(limit)
  if not limit.promised or redis.call('EXISTS', LANE .. limit.promised) == 1 then return false end
  end_promise(limit)
  return true
end
-- How many jobs of a lane may start now, of which the name is known if something may be kept
-- for it.
local function room_for(limit, class, lane)
  local room = limit.room
  if room >= 1 or not limit.promised or limit.counting > now then return room end
  if end_empty_promise(limit) then return limit.room end
  if limit.promised == lane or goes_before(class, limit) then return room + 1 end
  return room
end
-- When there is a token for a job of a lane that waits, or of any (ms), where it is tokens
-- that are missing; or the counting is given up.
local function next_token_of(limit)
  if limit and limit.counting > now then return limit.counting end
  if not limit or not limit.rate then return nil end
  local wanted, left = 1, limit.tokens - limit.taken
  if limit.promised then
    local first = redis.call('ZRANGE', BLOCKED .. limit.key, '0', '0')[1]
    if not (first and goes_before(string.sub(first, 1, 1), limit)) then wanted = 2 end
  end
  if left >= wanted - 0.000001 then return nil end
  -- A bucket of one token that is promised has none for others until it is used.
  if limit.burst < wanted and left >= 0.999999 then return now + 1000 end
  return now + math.ceil((wanted - left) / limit.rate * 1000)
end
local function store_tokens()
  for key, limit in pairs(limits) do
    if limit and limit.rate and limit.taken and limit.taken > 0 then
      store_bucket(key, limit.tokens - limit.taken)
    end
  end
end
