-- Purpose: forget signals that were kept for long enough.
-- KEYS: 1 control, 2 none
-- ARGV: 1 how long a signal is kept in ms, 2 bound on signals (at most 128)
-- Returns: {signals forgotten, 1 when there are more}.
-- include: open, int
local cx = open()
if cx.err then return cx end
local old = redis.call('ZRANGE', SIGNALS, '-inf', int(math.max(0, cx.now - ARGV[1])), 'BYSCORE', 'LIMIT', '0', ARGV[2])
local bytes = 0
for _, condition in ipairs(old) do
  bytes = bytes + (redis.call('HGET', SIGNAL .. condition, 'bytes') or 0)
  redis.call('DEL', SIGNAL .. condition)
end
if #old > 0 then
  redis.call('ZREM', SIGNALS, unpack(old))
  redis.call('HINCRBY', CONTROL, 'signal_bytes', int(-bytes))
end
return {#old, #old == tonumber(ARGV[2]) and 1 or 0}
