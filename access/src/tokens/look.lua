#!lua flags=no-writes
-- Reads an API token, the time of its last use, and the clock.
--
-- KEYS: tokens, tokens:used
-- ARGV: id
-- Returns: the token (nil for none), when it was last used (ms, nil for never), now (ms).
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {
  redis.call('HGET', KEYS[1], ARGV[1]),
  redis.call('HGET', KEYS[2], ARGV[1]),
  now,
}
