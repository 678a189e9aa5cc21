#!lua
-- Purpose: the state of alarms, which one process changes at a time. That process has the lease.
-- KEYS: 1 the hash: `holder`, `until` (ms), `state`
-- ARGV: 1 `take`, `put` or `release`, 2 the process, 3 for how long it has the lease from now (ms); of `put`: 4 the state
-- Returns: {1 if the process has the lease now, else 0; now (ms); of `take`: the state, '' for none}
local found = redis.pcall('HMGET', KEYS[1], 'holder', 'until', 'state')
if found.err then return redis.error_reply('DAMAGED `' .. KEYS[1] .. '` is not a hash') end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lease = tonumber(ARGV[3])
local ends = tonumber(found[2]) or 0
-- A lease that ends later than any process may have it is of before the clock was set back.
local is_free = not found[1] or ends <= now or ends > now + lease
local has = found[1] == ARGV[2]
if ARGV[1] == 'release' then
  if has then redis.call('HDEL', KEYS[1], 'holder', 'until') end
  return {0, now, ''}
end
if ARGV[1] == 'take' and (has or is_free) or ARGV[1] == 'put' and has then
  local written = {'holder', ARGV[2], 'until', string.format('%.0f', now + lease)}
  if ARGV[1] == 'put' then
    written[5], written[6] = 'state', ARGV[4]
  end
  redis.call('HSET', KEYS[1], unpack(written))
  return {1, now, ARGV[1] == 'take' and found[3] or ''}
end
return {0, now, ''}
