#!lua
-- Notes an API token that ends with the sessions of a person.
--
-- KEYS: person
-- ARGV: id of the token, when it expires (ms), what the person may do
-- Returns: 1, or 0 if no session of this person is left.
local id, ends, power = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 't:' .. id, string.format('%d %s', ends, power))
redis.call('PEXPIREAT', KEYS[1], math.max(ends, redis.call('PEXPIRETIME', KEYS[1])))
return 1
