#!lua flags=allow-oom
-- Ends a session.
--
-- KEYS: session
-- ARGV: hash of the session, what the keys of people begin with
-- Returns: 1, or 0 if there is none.
local person = redis.call('HGET', KEYS[1], 'person')
if person then
  redis.call('HDEL', ARGV[2] .. person, 's:' .. ARGV[1])
end
return redis.call('DEL', KEYS[1])
