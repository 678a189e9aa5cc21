-- Purpose: read the workers that are there.
-- KEYS: 1 control, 2 none
-- ARGV: none
-- Returns: {now ms, how many there are, then for each of at most MAX_WORKERS: its name, until when it
--       counts as there (ms), and what it tells of itself}.
-- include: open, int, live_workers
local cx = open()
if cx.err then return cx end
local live = live_workers(cx)
local reply = {int(cx.now), live.n}
for i, name in ipairs(live.names) do
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = name, live.untils[i], live.facts[i] or ''
end
return reply
