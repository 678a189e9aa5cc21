#!lua
-- Stores a device that asks for a login.
--
-- KEYS: device, code that its person types
-- ARGV: hash of the device's code, what the device says of itself, ms until it expires
-- Returns: 1, or 0 if another device has the code that its person types.
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], 'about', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
