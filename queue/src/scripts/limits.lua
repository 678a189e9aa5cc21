-- Purpose: read limits and weights, and how much of each is used, in one round trip.
-- KEYS: 1 control, 2 none
-- ARGV: 1 bound on limits (at most 1000)
-- Returns: {1 where there are more, then for each limit: its key, its stored form, how many running
--       jobs count for it, its bucket ('' for none), lanes that wait for it}.
-- include: open, int, running
local cx = open()
if cx.err then return cx end
local bound = math.min(MAX_LIMITS, tonumber(ARGV[1]))
local stored = redis.call('HSCAN', LIMITS, '0', 'COUNT', int(bound))[2]
local keys = {}
for i = 1, math.min(#stored, 2 * bound), 2 do keys[#keys + 1] = stored[i] end
local reply = {redis.call('HLEN', LIMITS) > #keys and 1 or 0}
if #keys == 0 then return reply end
local counts = redis.call('HMGET', HOLDING, unpack(keys))
local buckets = redis.call('HMGET', BUCKETS, unpack(keys))
for i, key in ipairs(keys) do
  local n = #reply
  reply[n + 1], reply[n + 2] = key, stored[2 * i]
  reply[n + 3] = key == 'queue' and running_now(cx) or tonumber(counts[i] or '0')
  reply[n + 4] = buckets[i] or ''
  reply[n + 5] = redis.call('ZCARD', BLOCKED .. key)
end
return reply
