-- Purpose: make parked jobs ready whose need is met, some at a time. `releasing` records how far
--       that is, so that any caller can continue it and show it.
-- KEYS: 1 control, 2 none
-- ARGV: 1 need, 2 bound (at most 128, or CALL_BYTES), 3 `begin` for all jobs that are parked for it
--       now, `continue` for the rest of an earlier begin (without jobs that are parked again
--       meanwhile, which would keep it busy for ever), or `some` for no more than the bound
-- Returns: {how many became ready, how many are left; 0 at the end}.
-- include: open, int, job, state, moves, put, leave_need
local cx = open()
if cx.err then return cx end
local need, begins, some = NEED .. ARGV[1], ARGV[3] == 'begin', ARGV[3] == 'some'
if not begins and not some and ARGV[3] ~= 'continue' then
  return redis.error_reply('ARGS unpark: `' .. ARGV[3] .. '` is none of begin, continue, some')
end
-- `jobs parked up to this time, how many these are, how many are done, since when`.
local told = redis.call('HGET', RELEASING, ARGV[1])
local upto, total, done, since = string.match(told or '', '^(%S+) (%d+) (%d+) (%d+)$')
if not upto and not begins and not some then return {0, 0} end
total, done, since = tonumber(total or '0'), tonumber(done or '0'), since or cx.at
if begins or some then
  -- Not the present time: the clock of an earlier master may have been ahead of it.
  upto = redis.call('ZRANGE', need, '-1', '-1', 'WITHSCORES')[2] or cx.at
  total = done + redis.call('ZCARD', need)
end
local ids = redis.call('ZRANGE', need, '-inf', upto, 'BYSCORE', 'LIMIT', 0, ARGV[2])
local released, looked = 0, 0
for i, id in ipairs(ids) do
  if cx.read >= CALL_BYTES then break end
  looked = looked + 1
  local key = JOB .. id
  local job = fields_of(key, 'job', 'state', 'need')
  if job[1] and state_of(job[2]) == 'parked' and job[3] == ARGV[1] then
    cx.read = cx.read + #job[1]
    local _, flow, class, deadline = header(job[1])
    leave_need(cx, id, key, job[1], flow, class)
    become(cx, key, 'ready', job[2])
    -- Remembers which builds could not read its arguments: two such builds would hand the job
    -- to and fro.
    if string.sub(ARGV[1], 1, 5) == 'args ' then redis.call('HSET', key, 'needed', ARGV[1]) end
    put(cx, id, class .. ':' .. flow, run_by(cx, deadline, i))
    move(cx, 'unparked', id)
    released = released + 1
  else
    -- It is parked for another need by now, or not parked.
    redis.call('ZREM', need, id)
    if redis.call('HINCRBY', NEEDS, ARGV[1], -1) <= 0 then redis.call('HDEL', NEEDS, ARGV[1]) end
  end
end
local left = 0
if redis.call('EXISTS', need) == 1 then
  left = redis.call('ZCOUNT', need, '-inf', upto)
elseif #ids == 0 then
  redis.call('HDEL', NEEDS, ARGV[1])
end
if some then
  -- Nothing follows; a release that was begun continues as it is.
  left = 0
elseif left > 0 then
  -- Jobs that left the need in other ways meanwhile are done as well.
  done = math.max(done + looked, total - left)
  redis.call('HSET', RELEASING, ARGV[1], upto .. ' ' .. int(total) .. ' ' .. int(done) .. ' ' .. since)
elseif told then
  redis.call('HDEL', RELEASING, ARGV[1])
end
local wake = put_all(cx)
tell(cx, '')
if wake then redis.call('PUBLISH', WAKE, cx.at) end
return {released, left}
