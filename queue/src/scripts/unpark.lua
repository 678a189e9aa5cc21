-- Purpose: let parked jobs whose need is met become ready, some at a time. How far that is stands
--       in `releasing`, so that anybody can go on with it, and everybody can see it.
-- KEYS: 1 control, 2 none
-- ARGV: 1 need, 2 bound (at most 128, or CALL_BYTES), 3 `begin` for all that are parked for it now,
--       `continue` for those of an earlier begin (jobs that run and are parked once more
--       meanwhile would keep it busy for ever), or `some` for no more than the bound
-- Returns: {how many became ready, how many of those that were to are left; 0 at its end}.
local need, begins, some = NEED .. ARGV[1], ARGV[3] == 'begin', ARGV[3] == 'some'
if not begins and not some and ARGV[3] ~= 'continue' then
  return redis.error_reply('ARGS unpark: `' .. ARGV[3] .. '` is none of begin, continue, some')
end
-- `time up to which they had been parked, of how many, how many are done, since when`.
local told = redis.call('HGET', RELEASING, ARGV[1])
local upto, total, done, since = string.match(told or '', '^(%S+) (%d+) (%d+) (%d+)$')
if not upto and not begins and not some then return {0, 0} end
total, done, since = tonumber(total or '0'), tonumber(done or '0'), since or at
if begins or some then
  -- Not the time it is: that of another node, which was the master before, may be ahead of it.
  upto = redis.call('ZRANGE', need, '-1', '-1', 'WITHSCORES')[2] or at
  total = done + redis.call('ZCARD', need)
end
local ids = redis.call('ZRANGE', need, '-inf', upto, 'BYSCORE', 'LIMIT', 0, ARGV[2])
local released, looked, read = 0, 0, 0
for i, id in ipairs(ids) do
  if read >= CALL_BYTES then break end
  looked = looked + 1
  local key = JOB .. id
  local job = fields_of(key, 'job', 'state', 'need')
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
local left = 0
if redis.call('EXISTS', need) == 1 then
  left = redis.call('ZCOUNT', need, '-inf', upto)
elseif #ids == 0 then
  redis.call('HDEL', NEEDS, ARGV[1])
end
if some then
  -- Nothing follows; what was begun goes on as it is.
  left = 0
elseif left > 0 then
  -- Those that were taken out otherwise meanwhile are done as well.
  done = math.max(done + looked, total - left)
  redis.call('HSET', RELEASING, ARGV[1], upto .. ' ' .. int(total) .. ' ' .. int(done) .. ' ' .. since)
elseif told then
  redis.call('HDEL', RELEASING, ARGV[1])
end
local wake = put_all()
tell('')
if wake then redis.call('PUBLISH', WAKE, at) end
return {released, left}
