#!lua
-- Puts an API token in the place of another, if nothing changed it meanwhile.
--
-- KEYS: tokens, tokens:used
-- ARGV: id, the token that is expected there ('' for none), the new token ('' to remove it), the
--       number of tokens at most
-- Returns: 1 if the token was put there, 0 if another stands there or there are too many.
local id, old, new, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if (redis.call('HGET', KEYS[1], id) or '') ~= old then
  return 0
end
if old == '' and redis.call('HLEN', KEYS[1]) >= most then
  return 0
end
if new == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
else
  redis.call('HSET', KEYS[1], id, new)
end
return 1
