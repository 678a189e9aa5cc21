-- Purpose: read what an operation asks of jobs, without sending their arguments.
-- KEYS: 1 control, 2 none
-- ARGV: at most 128 ids
-- Returns: of each id its head line, its state, account and group fields ('' where it has none), and 1
--       where another job took the place of a dead one; fewer where the first jobs have CALL_BYTES.
-- include: open, job, replaced, state
local cx = open()
if cx.err then return cx end
local reply = {}
for i = 1, math.min(#ARGV, MAX_BATCH) do
  if cx.read >= CALL_BYTES then break end
  local key = JOB .. ARGV[i]
  local read = fields_of(key, 'job', 'state', 'account', 'group')
  local body = read[1] or ''
  cx.read = cx.read + #body
  reply[#reply + 1] = string.match(body, '^[^\n]*') or ''
  reply[#reply + 1] = read[2] or ''
  reply[#reply + 1] = read[3] or ''
  reply[#reply + 1] = read[4] or ''
  reply[#reply + 1] = state_of(read[2]) == 'dead' and is_replaced(key) and '1' or ''
end
return reply
