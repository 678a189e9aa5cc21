#!lua
-- Gives a device the principal of its person, or refuses it. The code counts once.
--
-- KEYS: code that its person types
-- ARGV: what the keys of devices begin with, the principal ('' to refuse)
-- Returns: 1, or 0 if no device waits with this code.
local hash = redis.call('GETDEL', KEYS[1])
local device = hash and ARGV[1] .. hash
if not hash or redis.call('EXISTS', device) == 0 then
  return 0
end
redis.call('HSET', device, ARGV[2] == '' and 'refused' or 'principal', ARGV[2])
return 1
