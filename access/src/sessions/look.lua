#!lua flags=no-writes
-- Reads a session, and what it depends on.
--
-- KEYS: session, tokens, key, revoked
-- Returns: the session (nil for none), the API token that it began with (nil for none), the key that
--          signs links and when a revoked link expires (nil for a session of another kind, or a link
--          that is not revoked), when the session expires unless it is used (ms), now
--          (ms).
local found = redis.call('HMGET', KEYS[1], 'session', 'token', 'link', 'expires')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {
  found[1],
  found[2] and redis.call('HGET', KEYS[2], found[2]),
  found[3] and redis.call('GET', KEYS[3]),
  found[3] and redis.call('ZSCORE', KEYS[4], found[3]),
  tonumber(found[4] or 0),
  now,
}
