-- Purpose: read what a list of outcomes asks of jobs, without sending their arguments.
-- KEYS: 1 control, 2 none
-- ARGV: at most 128 ids
-- Returns: of each id its head line, state field, account field and await field ('' where it has none); fewer where
--       the first jobs have CALL_BYTES.
-- include: open, state
local cx = open()
if cx.err then return cx end
local reply = {}
for i = 1, math.min(#ARGV, MAX_BATCH) do
  if cx.read >= CALL_BYTES then break end
  local read = fields_of(JOB .. ARGV[i], 'job', 'state', 'account', 'await')
  local body = read[1] or ''
  cx.read = cx.read + #body
  reply[#reply + 1] = string.match(body, '^[^\n]*') or ''
  reply[#reply + 1] = read[2] or ''
  reply[#reply + 1] = read[3] or ''
  reply[#reply + 1] = read[4] or ''
end
return reply
