-- Purpose: enqueue the jobs of a schedule for its due times and move it to its next one, where it is still at
--       the due time that the caller saw; or enqueue a job that a person asks for. Because one call does both,
--       a due time has one job, however many processes try, and however late one of them is.
-- KEYS: 1 control, 2 none
-- ARGV: 1 name, 2 the version of its definition that the caller knows, 3 the due time that the caller saw (ms;
--       '' for a job that a person asks for), 4 the next due time (ms; '' for none), 5 when its run starts (ms;
--       '' for none), 6 due times that get no job, 7 the due time of the last job ('' for none), 8 the id of
--       the last job ('' for none), then the jobs as `enqueue.lua` has them, if there are any
-- Returns: 1; 0 where the schedule is at another due time, is another one, is paused or gone. Then nothing was
--       changed.
-- include: open, insert
local cx = open()
if cx.err then return cx end
local key, seen = SCHEDULE .. ARGV[1], ARGV[3]
local known = redis.call('HMGET', key, 'version', 'next', 'paused', 'starts')
if known[1] ~= ARGV[2] then return 0 end
-- Nothing runs before its time, also where a caller has another clock.
if seen ~= '' and (known[2] ~= seen or known[3] or tonumber(known[4] or '0') > cx.now) then return 0 end
local first = 9
local wrong = #ARGV >= first and wrong_batch(first)
if wrong then return wrong end
if seen ~= '' then
  if ARGV[4] == '' then
    redis.call('HDEL', key, 'next', 'starts')
    redis.call('ZADD', SCHEDULES, '+inf', ARGV[1])
  else
    redis.call('HSET', key, 'next', ARGV[4], 'starts', ARGV[5])
    redis.call('ZADD', SCHEDULES, ARGV[5], ARGV[1])
  end
end
local missed = tonumber(ARGV[6])
if missed > 0 then
  redis.call('HINCRBY', key, 'missed', missed)
  redis.call('HINCRBY', STATS, 'schedule_missed', missed)
end
if #ARGV >= first then
  local jobs = tonumber(ARGV[first])
  redis.call('HSET', key, 'last_due', ARGV[7], 'last_job', ARGV[8], 'last_at', cx.at)
  redis.call('HINCRBY', key, 'runs', jobs)
  redis.call('HINCRBY', STATS, 'schedule_runs', jobs)
  insert_batch(cx, first)
end
return 1
