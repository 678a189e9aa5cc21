-- Purpose: one fenced write of a running attempt: its progress, or the result
--       of a completed step.
-- KEYS: 1 job, 2 stats
-- ARGV: 1 changes channel, 2 id, 3 token, 4 worker, 5 field, 6 value (JSON),
--       7 '1' for a step: it is stored with its time, and one that is already
--       there stays; '0' for a value that is replaced
-- Returns: 1 when it is stored, 0 when the attempt is stale.
local held = redis.call('HMGET', KEYS[1], 'token', 'worker', 'state')
if held[1] ~= ARGV[3] or held[2] ~= ARGV[4] or held[3] ~= 'running' then
  redis.call('HINCRBY', KEYS[2], 'refused', 1)
  return 0
end
if ARGV[7] == '1' then
  local step = '{"at":' .. int(math.floor(micros() / 1000)) .. ',"result":' .. ARGV[6] .. '}'
  redis.call('HSETNX', KEYS[1], ARGV[5], step)
else
  redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
end
redis.call('HINCRBY', KEYS[1], 'writes', 1)
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
