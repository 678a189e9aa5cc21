#!lua flags=allow-oom
-- Appends an entry to a stream of the audit log, and trims the stream. Bounded: trims at most 1,000
-- entries by age in a call. Allowed at Redis' memory limit, because operators free memory by acts.
--
-- KEYS: the stream, {@audit} (control), open
-- ARGV: the field of the control key that counts the entries, the act (JSON), how long entries are
--       kept (ms), entries at most, 1 if the entry is an intent
-- Returns: the id of the entry.
local stream, control, open = KEYS[1], KEYS[2], KEYS[3]
local counter, act, keep, most, is_intent = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local n = redis.call('HINCRBY', control, counter, 1)
local id = redis.call('XADD', stream, 'MAXLEN', '~', most, '*', 'n', n, 'act', act)
local now = tonumber(string.match(id, '^%d+'))
local oldest = string.format('%.0f', math.max(now - keep, 0))
redis.call('XTRIM', stream, 'MINID', '~', oldest, 'LIMIT', 1000)
if is_intent then
  redis.call('ZADD', open, string.format('%.0f', now), id)
  redis.call('ZREMRANGEBYSCORE', open, '-inf', '(' .. oldest)
  redis.call('ZREMRANGEBYRANK', open, 0, -10001)
end
return id
