-- Purpose: note that a worker is there, and forget workers that have not told for too long; or take
--       a worker out that stops.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 for how long it counts as there (ms; 0 takes it out), 3 what it tells of itself
-- Returns: how many workers were forgotten.
-- include: open, int
local cx = open()
if cx.err then return cx end
local worker, lasts = ARGV[1], tonumber(ARGV[2])
if lasts <= 0 then
  redis.call('ZREM', WORKERS, worker)
  redis.call('HDEL', WORKER_FACTS, worker)
  return 0
end
redis.call('ZADD', WORKERS, int(cx.now + lasts), worker)
redis.call('HSET', WORKER_FACTS, worker, ARGV[3])
local gone = redis.call('ZRANGE', WORKERS, '-inf', '(' .. cx.at, 'BYSCORE', 'LIMIT', '0', MAX_BATCH)
if #gone > 0 then
  redis.call('ZREM', WORKERS, unpack(gone))
  redis.call('HDEL', WORKER_FACTS, unpack(gone))
end
return #gone
