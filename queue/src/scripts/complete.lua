-- Purpose: end a batch of attempts. Each is fenced: a token and worker that are
--       not the job's current ones, or a job that no longer runs, are refused.
-- KEYS: 1 ready, 2 scheduled, 3 running, 4 succeeded, 5 dead, 6 stats
-- ARGV: 1 job key prefix, 2 wake channel, 3 changes channel, 4 history cap in
--       bytes, 5 worker, 6 number of items (at most 256), then for each item:
--       id, token, verb (succeed, retry, bury, release), delay in ms (retry),
--       failure class (retry, bury), outcome JSON (succeed) or history line
--       (retry, bury)
-- Returns: {verdict...}: 1 written, 0 refused.
local n = tonumber(ARGV[6])
if #ARGV ~= 6 + n * 6 then
  return redis.error_reply('ARGS complete: expected ' .. (6 + n * 6) .. ' arguments, got ' .. #ARGV)
end
local us = micros()
local now = math.floor(us / 1000)
local at = int(now)
local reply, ended, changed = {}, {}, {}
local ready, scheduled, succeeded, dead = {}, {}, {}, {}
local count = {}
for i = 0, n - 1 do
  local p = 7 + i * 6
  local id, token, verb = ARGV[p], ARGV[p + 1], ARGV[p + 2]
  local key = ARGV[1] .. id
  local held = redis.call('HMGET', key, 'token', 'worker', 'state')
  if held[1] ~= token or held[2] ~= ARGV[5] or held[3] ~= 'running' then
    reply[#reply + 1] = 0
    verb = 'refused'
  else
    reply[#reply + 1] = 1
    ended[#ended + 1] = id
    changed[#changed + 1] = id
    if verb == 'succeed' then
      redis.call('HSET', key, 'state', 'succeeded', 'since', at, 'outcome', ARGV[p + 5])
      succeeded[#succeeded + 1] = at
      succeeded[#succeeded + 1] = id
    elseif verb == 'retry' then
      redis.call('HINCRBY', key, 'failed:' .. ARGV[p + 4], 1)
      append_history(key, ARGV[p + 5], tonumber(ARGV[4]))
      redis.call('HSET', key, 'state', 'scheduled', 'since', at)
      scheduled[#scheduled + 1] = int(now + tonumber(ARGV[p + 3]))
      scheduled[#scheduled + 1] = id
    elseif verb == 'bury' then
      redis.call('HINCRBY', key, 'failed:' .. ARGV[p + 4], 1)
      append_history(key, ARGV[p + 5], tonumber(ARGV[4]))
      redis.call('HSET', key, 'state', 'dead', 'since', at)
      dead[#dead + 1] = at
      dead[#dead + 1] = id
    else
      -- Handed back unstarted: it runs next and the attempt does not count.
      redis.call('HINCRBY', key, 'released', 1)
      redis.call('HSET', key, 'state', 'ready', 'since', at)
      ready[#ready + 1] = '0'
      ready[#ready + 1] = id
    end
  end
  count[verb] = (count[verb] or 0) + 1
end
if #ended > 0 then redis.call('ZREM', KEYS[3], unpack(ended)) end
if #ready > 0 then redis.call('ZADD', KEYS[1], unpack(ready)) end
if #scheduled > 0 then redis.call('ZADD', KEYS[2], unpack(scheduled)) end
if #succeeded > 0 then redis.call('ZADD', KEYS[4], unpack(succeeded)) end
if #dead > 0 then redis.call('ZADD', KEYS[5], unpack(dead)) end
local names = {succeed = 'succeeded', retry = 'retried', bury = 'dead', release = 'released', refused = 'refused'}
for verb, name in pairs(names) do
  if count[verb] then redis.call('HINCRBY', KEYS[6], name, count[verb]) end
end
if #ready > 0 or #scheduled > 0 then redis.call('PUBLISH', ARGV[2], at) end
if #changed > 0 then redis.call('PUBLISH', ARGV[3], table.concat(changed, ' ')) end
return reply
