-- What the retention may forget within a window: a share of what is kept. A clock that jumps ahead
-- makes everything old. A shorter retention is meant for what it makes due at once, so that goes
-- freely.
-- include: int

-- Opens the window of `name`. `keep` is the retention in ms, `kept` how many are kept, `share` (0 to
-- 1) may go within `window` ms.
local function open_window(cx, name, keep, kept, share, window)
  -- `start of the window, how many went since then, the retention, what ended up to this time goes
  -- freely`.
  local field, before = 'trimmed:' .. name, cx.now - keep
  local told = redis.call('HGET', CONTROL, field)
  local since, gone, retained, free = string.match(told or '', '^(%d+) (%d+) (%d+) (%d+)$')
  since, gone = tonumber(since or cx.at), tonumber(gone or '0')
  free = (not retained or keep < tonumber(retained)) and before or math.min(tonumber(free), before)
  if cx.now - since >= window or since > cx.now then since, gone = cx.now, 0 end
  return {
    field = field, since = since, gone = gone, keep = keep, free = math.max(free, 0),
    allowed = math.ceil((kept + gone) * share) - gone, counts = 0, held = false,
    is_new = not retained or keep ~= tonumber(retained),
  }
end
-- Whether what ended at this time may go; counts it.
local function may_go(window, ended)
  if ended <= window.free then return true end
  if window.counts >= window.allowed then
    window.held = true
    return false
  end
  window.counts = window.counts + 1
  return true
end
local function close_window(window)
  if window.counts == 0 and not window.is_new then return end
  local gone = int(window.gone + window.counts)
  redis.call('HSET', CONTROL, window.field,
    int(window.since) .. ' ' .. gone .. ' ' .. int(window.keep) .. ' ' .. int(window.free))
end
