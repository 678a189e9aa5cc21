#!lua
-- Ends all capability links by another key. Revoked links need no entry then.
--
-- KEYS: key, revoked
-- ARGV: the key
-- Returns: 1.
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
