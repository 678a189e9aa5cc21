-- Purpose: make a dead job ready again, with its arguments, its completed steps
--       and its history, and with fresh budgets.
-- KEYS: 1 job, 2 dead, 3 ready, 4 stats
-- ARGV: 1 id, 2 wake channel, 3 changes channel, then the fields that count
--       failures (at most 16)
-- Returns: 'dead' when it was dead and is ready now; the state it is in when it
--       was not; '' when there is no such job.
if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
local state = redis.call('HGET', KEYS[1], 'state') or 'ready'
if state ~= 'dead' then return state end
local us = micros()
redis.call('HSET', KEYS[1], 'state', 'ready', 'since', int(math.floor(us / 1000)))
redis.call('HDEL', KEYS[1], unpack(ARGV, 4))
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], int(us), ARGV[1])
redis.call('HINCRBY', KEYS[4], 'revived', 1)
redis.call('PUBLISH', ARGV[2], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return state
