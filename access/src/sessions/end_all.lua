#!lua flags=allow-oom
-- Ends all sessions of a person, and the API tokens that devices got from them.
--
-- KEYS: person, tokens, tokens:used
-- ARGV: what the keys of sessions begin with
-- Returns: the number of sessions and tokens that were ended.
local ended = 0
for _, entry in ipairs(redis.call('HKEYS', KEYS[1])) do
  local name = string.sub(entry, 3)
  if string.sub(entry, 1, 2) == 's:' then
    ended = ended + redis.call('DEL', ARGV[1] .. name)
  else
    ended = ended + redis.call('HDEL', KEYS[2], name)
    redis.call('HDEL', KEYS[3], name)
  end
end
redis.call('DEL', KEYS[1])
return ended
