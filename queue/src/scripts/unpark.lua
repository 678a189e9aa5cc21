-- Purpose: let parked jobs whose need is met become ready.
-- KEYS: 1 control
-- ARGV: 1 need, 2 bound (at most 128, or CALL_BYTES), 3 only those that were parked up to
--       this time (ms), or '' for all that are parked now
-- Returns: {how many became ready, 1 when there may be more, the time up to which those that
--       were there had been parked}. Who goes on gives that time again: jobs that run and are
--       parked once more meanwhile would keep it busy for ever.
local need = NEED .. ARGV[1]
local upto = ARGV[3]
-- Not the time it is: that of another node, which was the master before, may be ahead of it.
if upto == '' then upto = redis.call('ZRANGE', need, '-1', '-1', 'WITHSCORES')[2] or at end
local ids = redis.call('ZRANGE', need, '-inf', upto, 'BYSCORE', 'LIMIT', 0, ARGV[2])
local released, read, more = 0, 0, #ids == tonumber(ARGV[2])
for i, id in ipairs(ids) do
  if read >= CALL_BYTES then
    more = true
    break
  end
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state', 'need')
  if job[1] and state_of(job[2]) == 'parked' and job[3] == ARGV[1] then
    read = read + #job[1]
    local _, flow, class, deadline = header(job[1])
    take_out(id, key, 'parked', job[1], flow, class)
    become(key, 'ready', job[2])
    -- Who could not read its arguments is remembered: two builds that cannot would hand it
    -- to and fro.
    if string.sub(ARGV[1], 1, 5) == 'args ' then redis.call('HSET', key, 'needed', ARGV[1]) end
    put(id, class .. ':' .. flow, run_by(deadline, i))
    move('unparked', id)
    released = released + 1
  else
    -- It is parked for something else by now, or not at all.
    redis.call('ZREM', need, id)
    if redis.call('HINCRBY', NEEDS, ARGV[1], -1) <= 0 then redis.call('HDEL', NEEDS, ARGV[1]) end
  end
end
if redis.call('EXISTS', need) == 0 then
  -- Who is parked from now on is not waited for, whatever the clock says.
  more = false
  if #ids == 0 then redis.call('HDEL', NEEDS, ARGV[1]) end
end
local wake = put_all()
tell('')
if wake then redis.call('PUBLISH', WAKE, at) end
return {released, more and 1 or 0, upto}
