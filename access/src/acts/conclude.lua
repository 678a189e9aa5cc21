#!lua flags=allow-oom
-- Appends the result of an act, once.
--
-- KEYS: acts, {@audit} (control), open
-- ARGV: the id of the intent, the act with its result (JSON), entries at most
-- Returns: the id of the entry; nil if the act has a result already.
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then
  return nil
end
local n = redis.call('HINCRBY', KEYS[2], 'acts', 1)
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'n', n, 'of', ARGV[1], 'act', ARGV[2])
