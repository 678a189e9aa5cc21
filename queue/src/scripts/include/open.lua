-- The context of one call. It holds the time and the flags of the queue, and what the call
-- gathers until it ends (`moves`, `limits`, `pending` and so on, each described in the file
-- that fills it). Every function that needs the context takes it as its first argument.

-- Opens the call. Returns the context, and the control key's fields: the five below, then
-- those that the caller names. Where another version of the layout wrote the queue, the
-- context is an error reply (it has `err`), and the script returns it.
local function open(...)
  local known = redis.call('HMGET', CONTROL, 'schema', 'limited', 'paused', 'paused_kinds', 'unknown', ...)
  if known[1] ~= SCHEMA then
    if known[1] or redis.call('EXISTS', STATS) == 1 then
      return redis.error_reply('SCHEMA the queue was written with layout ' .. (known[1] or '1') ..
        ', this program speaks layout ' .. SCHEMA .. ': run the version of Upshot that fits, or use another prefix')
    end
    redis.call('HSET', CONTROL, 'schema', SCHEMA)
  end
  local us = micros()
  local now = math.floor(us / 1000)
  return {
    us = us, now = now, at = string.format('%d', now),
    -- Whether any limit or weight is set. Without one, no script looks for any.
    limited = known[2] == '1',
    paused = known[3] == '1', kinds_paused = known[4] == '1',
    -- Whether jobs are parked because a worker does not run their kind.
    some_unknown = known[5] == '1',
    -- Bytes of the bodies that the call read so far.
    read = 0,
    flows = {}, limits = {},
  }, known
end
