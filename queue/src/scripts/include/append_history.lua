-- Appends a line to a job's history.
-- include: append
local function append_history(key, line) append(key, 'history', line, HISTORY_BYTES, HISTORY_LINES) end
