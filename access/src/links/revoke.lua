#!lua
-- Revokes a capability link, and forgets those that have expired.
--
-- KEYS: revoked
-- ARGV: id of the link, when it expires (ms), revoked links at most, ms that a link lasts at most
-- Returns: 1; 0 if the link has expired; -1 if there are too many; -2 if it cannot be a link's id,
--          because it would expire too late.
local id, expires, most, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if expires <= now then
  return 0
end
if expires > now + longest then
  return -2
end
if redis.call('ZCARD', KEYS[1]) >= most and not redis.call('ZSCORE', KEYS[1], id) then
  return -1
end
redis.call('ZADD', KEYS[1], expires, id)
return 1
