#!lua flags=no-writes
-- Reads what says whether a capability link is in force.
--
-- KEYS: key, revoked
-- ARGV: id of the link
-- Returns: the key that signs links (nil for none), when the revoked link expires (nil if it is not
--          revoked), now (ms).
local time = redis.call('TIME')
return {
  redis.call('GET', KEYS[1]),
  redis.call('ZSCORE', KEYS[2], ARGV[1]),
  tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000),
}
