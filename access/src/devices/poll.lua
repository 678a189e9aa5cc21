#!lua
-- Takes the principal that a device was given.
--
-- KEYS: device
-- ARGV: ms between two polls at least
-- Returns: 'principal' and the principal, or one of 'waiting', 'often' (it polls too often), 'refused',
--          'expired'.
local found = redis.call('HMGET', KEYS[1], 'about', 'principal', 'refused', 'polled')
if not found[1] then
  return { 'expired' }
end
if found[3] then
  redis.call('DEL', KEYS[1])
  return { 'refused' }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if found[4] and now - tonumber(found[4]) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'polled', now)
  return { 'often' }
end
if found[2] then
  redis.call('DEL', KEYS[1])
  return { 'principal', found[2] }
end
redis.call('HSET', KEYS[1], 'polled', now)
return { 'waiting' }
