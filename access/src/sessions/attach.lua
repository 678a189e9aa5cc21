#!lua
-- Notes an API token that ends with the sessions of a person.
--
-- KEYS: person
-- ARGV: id of the token, when it expires (ms), what the person may do, now (ms)
-- Returns: 1, or 0 if no session of this person stands for the same.
local id, ends, power, now = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local entries = redis.call('HGETALL', KEYS[1])
local is_of_now, last = false, ends
for i = 1, #entries, 2 do
  local at, may = string.match(entries[i + 1], '^(%d+) (.*)$')
  last = math.max(last, tonumber(at))
  local is_session = string.sub(entries[i], 1, 2) == 's:'
  is_of_now = is_of_now or (is_session and tonumber(at) > now and may == power)
end
if not is_of_now then
  return 0
end
redis.call('HSET', KEYS[1], 't:' .. id, string.format('%d %s', ends, power))
redis.call('PEXPIRE', KEYS[1], last - now)
return 1
