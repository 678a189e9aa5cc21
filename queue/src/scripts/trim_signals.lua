-- Purpose: forget signals that were kept for long enough, and within a window no more than a share
--       of the kept ones: a clock that jumps ahead makes every signal old.
-- KEYS: 1 control, 2 none
-- ARGV: 1 how long a signal is kept in ms, 2 bound on signals (at most 128), 3 the share of kept
--       signals (0 to 1) that may go within the window, 4 the window in ms
-- Returns: {signals forgotten, 1 when there are more, 1 when more are due than may go now}.
-- include: open, int, window
local cx = open()
if cx.err then return cx end
local keep, bound = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = open_window(cx, 'signals', keep, redis.call('ZCARD', SIGNALS), tonumber(ARGV[3]), tonumber(ARGV[4]))
local old = redis.call('ZRANGE', SIGNALS, '-inf', int(math.max(0, cx.now - keep)), 'BYSCORE', 'LIMIT', '0', bound, 'WITHSCORES')
local gone, bytes = {}, 0
for i = 1, #old, 2 do
  if not may_go(window, tonumber(old[i + 1])) then break end
  gone[#gone + 1] = old[i]
  bytes = bytes + (redis.call('HGET', SIGNAL .. old[i], 'bytes') or 0)
  redis.call('DEL', SIGNAL .. old[i])
end
if #gone > 0 then
  redis.call('ZREM', SIGNALS, unpack(gone))
  redis.call('HINCRBY', CONTROL, 'signal_bytes', int(-bytes))
end
close_window(window)
return {#gone, #gone == bound and 1 or 0, window.held and 1 or 0}
