-- Purpose: count running jobs for a limit key that was set while they ran.
-- KEYS: 1 control
-- ARGV: 1 limit key, 2 cursor (0 to start), 3 about how many jobs to look at (at most 128)
-- Returns: the cursor to go on from, 0 at the end.
-- It may have been cleared meanwhile, and what it held with it.
local limit = limit_of(ARGV[1])
if not (limit and limit.concurrency) then return '0' end
local page = redis.call('ZSCAN', RUNNING, ARGV[2], 'COUNT', ARGV[3])
for i = 1, #page[2], 2 do
  local id = page[2][i]
  local job = redis.call('HMGET', JOB .. id, 'job', 'state')
  if job[1] and job[2] and claim_of(job[2]) <= limit.since then
    local _, flow = header(job[1])
    for _, key in ipairs(keys_of(flow)) do
      if key == ARGV[1] then redis.call('SADD', HOLDERS .. key, id) end
    end
  end
end
return page[1]
