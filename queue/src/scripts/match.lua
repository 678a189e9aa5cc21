-- Purpose: find the jobs of a kind and a tenant among some, without sending their arguments.
-- KEYS: 1 control, 2 none
-- ARGV: 1 kind and 2 tenant as head lines have them, each behind a `=`, '' for any; then at most
--       128 ids
-- Returns: {how many were looked at: fewer where the jobs have CALL_BYTES; the places of those
--       that match, from 1}.
-- include: open, job, state, tenant
local cx = open()
if cx.err then return cx end
local looked, reply = 0, {0}
for i = 3, math.min(#ARGV, MAX_BATCH + 2) do
  if cx.read >= CALL_BYTES then break end
  looked = looked + 1
  local body = fields_of(JOB .. ARGV[i], 'job')[1]
  if body then
    cx.read = cx.read + #body
    local kind, flow = header(body)
    if (ARGV[1] == '' or ARGV[1] == '=' .. kind) and (ARGV[2] == '' or ARGV[2] == '=' .. tenant_of(flow)) then
      reply[#reply + 1] = looked
    end
  end
end
reply[1] = looked
return reply
