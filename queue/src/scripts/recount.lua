-- Purpose: count running jobs for a limit key that was set while they ran.
-- KEYS: 1 control, 2 none
-- ARGV: 1 limit key, then numbers of claims (at most 4, of 160 jobs each)
-- Returns: how many jobs were counted.
-- The limit may have been cleared since.
-- include: open, int, job, flow, limits
local cx = open()
if cx.err then return cx end
local limit = limit_of(cx, ARGV[1])
if not (limit and limit.concurrency) then return 0 end
-- A caller that counts for long gets more time.
if redis.call('HEXISTS', COUNTING, ARGV[1]) == 1 then redis.call('HSET', COUNTING, ARGV[1], int(cx.now + COUNTING_MS)) end
local n = 0
for i = 2, #ARGV do
  local claim = tonumber(ARGV[i]) or 0
  local ids = claim <= limit.since and redis.call('HGET', LEASE .. int(claim), 'ids') or ''
  for id in string.gmatch(ids, '%S+') do
    local job = redis.call('HMGET', JOB .. id, 'job', 'state')
    if job[1] and claim_of(job[2]) == claim then
      local _, flow = header(job[1])
      for _, key in ipairs(flow_of(cx, flow).keys) do
        if key == ARGV[1] then n = n + redis.call('SADD', HOLDERS .. key, id) end
      end
    end
  end
end
if n > 0 then redis.call('HINCRBY', HOLDING, ARGV[1], n) end
return n
