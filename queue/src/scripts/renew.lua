-- Purpose: extend the leases that one worker still holds. Jobs of one claim share a lease, so
--       renewing one of them renews all.
-- KEYS: 1 control, 2 none
-- ARGV: 1 lease in ms, 2 worker, 3 number of leases (at most 128), then for each:
--       id, token
-- Returns: {lost, cancelled}: the ids whose lease is lost, and the ids that are held but to be
--       cancelled. A lease that another worker holds counts as a refused write; a lease that its
--       own worker has just ended does not.
-- include: open, int, job, state, fence
local cx = open()
if cx.err then return cx end
local n = tonumber(ARGV[3])
local until_ms = int(cx.now + tonumber(ARGV[1]))
local lost, cancelled, held, claims, refused = {}, {}, {}, {}, 0
for i = 0, n - 1 do
  local id = ARGV[4 + i * 2]
  local job = fields_of(JOB .. id, 'state', 'cancel')
  local attempt = ' ' .. ARGV[5 + i * 2] .. ' ' .. ARGV[2] .. ' '
  if is_held(job[1], 'running' .. attempt) then
    local claim = claim_of(job[1])
    if not claims[claim] then
      claims[claim] = true
      held[#held + 1] = until_ms
      held[#held + 1] = claim
    end
    if job[2] then cancelled[#cancelled + 1] = id end
  else
    lost[#lost + 1] = id
    if not is_held(attempt_of(job[1]), attempt) then refused = refused + 1 end
  end
end
if #held > 0 then redis.call('ZADD', RUNNING, 'XX', unpack(held)) end
if refused > 0 then redis.call('HINCRBY', STATS, 'refused', refused) end
return {lost, cancelled}
