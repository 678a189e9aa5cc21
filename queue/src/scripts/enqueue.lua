-- Purpose: insert a batch of jobs, or find the ones that are already there.
-- KEYS: 1 ready, 2 scheduled, 3 subjects, 4 stats
-- ARGV: 1 job key prefix, 2 wake channel, 3 number of items (at most 256),
--       then for each item: id, body (meta line and arguments), subject
--       ('' for none), delay in ms (0 for ready now)
-- Returns: {now ms, verdict...}; a verdict is '' for inserted, or the state of
--       the job that was found under the same id.
local n = tonumber(ARGV[3])
if #ARGV ~= 3 + n * 4 then
  return redis.error_reply('ARGS enqueue: expected ' .. (3 + n * 4) .. ' arguments, got ' .. #ARGV)
end
local us = micros()
local now = math.floor(us / 1000)
local at = int(now)
local idle = redis.call('ZCARD', KEYS[1]) == 0
local reply, ready, scheduled, subjects = {at}, {}, {}, {}
local duplicates = 0
for i = 0, n - 1 do
  local p = 4 + i * 4
  local id, subject, delay = ARGV[p], ARGV[p + 2], tonumber(ARGV[p + 3])
  local key = ARGV[1] .. id
  if redis.call('HSETNX', key, 'job', ARGV[p + 1]) == 1 then
    if delay > 0 then
      redis.call('HSET', key, 'state', 'scheduled', 'at', at)
      scheduled[#scheduled + 1] = int(now + delay)
      scheduled[#scheduled + 1] = id
    else
      -- No state: a job without one is ready for the first time.
      redis.call('HSET', key, 'at', at)
      -- Microseconds plus the place in the batch keep first in, first out.
      ready[#ready + 1] = int(us + i)
      ready[#ready + 1] = id
    end
    if subject ~= '' then
      subjects[#subjects + 1] = '0'
      subjects[#subjects + 1] = subject .. '\0' .. id
    end
    reply[#reply + 1] = ''
  else
    redis.call('HINCRBY', key, 'duplicates', 1)
    duplicates = duplicates + 1
    reply[#reply + 1] = redis.call('HGET', key, 'state') or 'ready'
  end
end
if #ready > 0 then redis.call('ZADD', KEYS[1], unpack(ready)) end
if #scheduled > 0 then redis.call('ZADD', KEYS[2], unpack(scheduled)) end
if #subjects > 0 then redis.call('ZADD', KEYS[3], unpack(subjects)) end
if n > duplicates then redis.call('HINCRBY', KEYS[4], 'enqueued', n - duplicates) end
if duplicates > 0 then redis.call('HINCRBY', KEYS[4], 'duplicates', duplicates) end
-- Workers go to sleep only after they saw the queue empty, so a wake-up is
-- owed by the first insert after that and by nobody else.
if (idle and #ready > 0) or #scheduled > 0 then redis.call('PUBLISH', ARGV[2], at) end
return reply
