#!lua flags=no-writes
-- Reads what a device says of itself.
--
-- KEYS: code that its person types
-- ARGV: what the keys of devices begin with
-- Returns: what it says; nil for none.
local hash = redis.call('GET', KEYS[1])
return hash and redis.call('HGET', ARGV[1] .. hash, 'about')
