-- Purpose: find the jobs of a kind, a tenant, a route and a trace among some, without sending their
--       arguments.
-- KEYS: 1 control, 2 none
-- ARGV: 1 kind and 2 tenant as head lines have them, each behind a `=`, 3 number of the route, 4 how
--       the stored trace begins; '' for any; then at most 128 ids
-- Returns: {how many were looked at: fewer where the jobs have CALL_BYTES; the places of those
--       that match, from 1}.
-- include: open, job, state, tenant
local cx = open()
if cx.err then return cx end
local wanted = {kind = ARGV[1], tenant = ARGV[2], route = ARGV[3], trace = ARGV[4]}
local looked, reply = 0, {0}
for i = 5, math.min(#ARGV, MAX_BATCH + 4) do
  if cx.read >= CALL_BYTES then break end
  looked = looked + 1
  local body = fields_of(JOB .. ARGV[i], 'job')[1]
  if body then
    cx.read = cx.read + #body
    local kind, flow = header(body)
    local fits = (wanted.kind == '' or wanted.kind == '=' .. kind) and
      (wanted.tenant == '' or wanted.tenant == '=' .. tenant_of(flow))
    if fits and wanted.route ~= '' then
      local _, route = expectation_of(body)
      fits = route == wanted.route
    end
    if fits and wanted.trace ~= '' then
      -- The trace is a text of the second line. What it may be confused with is sorted out later.
      local meta = string.match(body, '^[^\n]*\n([^\n]*)') or ''
      fits = string.find(meta, '"' .. wanted.trace, 1, true) ~= nil
    end
    if fits then reply[#reply + 1] = looked end
  end
end
reply[1] = looked
return reply
