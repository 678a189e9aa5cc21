-- Jobs that are parked for a kind (the condition `kind K@V`). A claim of a worker that runs the kind
-- looks for them by class, then by flow. So each kind and version has an index of its own,
-- `unknown:K@V`, and `unknown` lists the kinds that have one, by when a claim last visited them.
-- include: int

-- A time (µs) behind those of all kinds that wait, also while the clock is set back.
local function behind_all_kinds(cx)
  return math.max(cx.us, tonumber(redis.call('ZRANGE', UNKNOWN, '-1', '-1', 'WITHSCORES')[2] or '0') + 1)
end
local function add_unknown(cx, kind, member)
  redis.call('ZADD', UNKNOWN_JOBS .. kind, '0', member)
  if not redis.call('ZSCORE', UNKNOWN, kind) then
    redis.call('ZADD', UNKNOWN, behind_all_kinds(cx), kind)
    redis.call('HSET', CONTROL, 'unknown', '1')
    cx.some_unknown = true
  end
end
local function remove_unknown(cx, kind, member)
  redis.call('ZREM', UNKNOWN_JOBS .. kind, member)
  if redis.call('EXISTS', UNKNOWN_JOBS .. kind) == 1 then return end
  redis.call('ZREM', UNKNOWN, kind)
  for class = 0, CLASSES - 1 do redis.call('HDEL', UNKNOWN_TURNS, int(class) .. ':' .. kind) end
  if redis.call('EXISTS', UNKNOWN) == 0 then
    redis.call('HDEL', CONTROL, 'unknown')
    cx.some_unknown = false
  end
end
