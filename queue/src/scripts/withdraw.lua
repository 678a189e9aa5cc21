-- Purpose: forget a signal that was sent by mistake. A job that it answered keeps its answer; jobs
--       that wait, also those of a release that is not finished, go on waiting. A repeated call
--       changes nothing.
-- KEYS: 1 control, 2 none
-- ARGV: 1 condition
-- Returns: 1 when a signal was kept, else 0.
-- include: open, forget_signal
local cx = open()
if cx.err then return cx end
return forget_signal(ARGV[1])
