#!lua
-- Returns the key that signs capability links; makes it at first use.
--
-- KEYS: key
-- ARGV: the key to store if there is none
-- Returns: the key, now (ms).
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local time = redis.call('TIME')
return {
  redis.call('GET', KEYS[1]),
  tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000),
}
