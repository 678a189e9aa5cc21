#!lua flags=allow-oom
-- Lets a session last longer, because it is used.
--
-- KEYS: session
-- ARGV: ms until it expires, when that is (ms)
-- Returns: 1, or 0 if it has ended meanwhile.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
