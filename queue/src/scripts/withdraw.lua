-- Purpose: forget a signal that was sent by mistake. A job that it answered keeps its answer; jobs
--       that wait, also those of a release that is not finished, go on waiting. A repeated call
--       changes nothing.
-- KEYS: 1 control, 2 none
-- ARGV: 1 condition
-- Returns: 1 when a signal was kept, else 0.
-- include: open, int
local cx = open()
if cx.err then return cx end
local condition = ARGV[1]
local key = SIGNAL .. condition
local bytes = redis.call('HGET', key, 'bytes') or 0
redis.call('ZREM', SIGNALS, condition)
if redis.call('DEL', key) == 0 then return 0 end
redis.call('HINCRBY', CONTROL, 'signal_bytes', int(-bytes))
redis.call('HDEL', RELEASING, condition)
return 1
