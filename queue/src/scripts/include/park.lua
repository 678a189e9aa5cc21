-- Parks a job until its condition is met, or until a time (ms, nil for none). True when sleeping
-- workers may run it at once: it is parked for a kind, and another worker may run that. `stage` is
-- `c` where it waits for a proof, else nil.
-- include: int, job, state, kinds, unknown_member
local function park(cx, id, key, body, text, condition, why, until_ms, stage)
  become(cx, key, 'parked', text, stage)
  redis.call('HSET', key, 'need', condition, 'why', why)
  redis.call('ZADD', PARKED, cx.at, id)
  -- Behind the jobs that wait already, also where the clock of an earlier master was ahead: a
  -- release of those does not wait for this job.
  local last = tonumber(redis.call('ZRANGE', NEED .. condition, '-1', '-1', 'WITHSCORES')[2] or '0')
  redis.call('ZADD', NEED .. condition, last > cx.now and int(last + 1) or cx.at, id)
  redis.call('HINCRBY', NEEDS, condition, 1)
  local kind = kind_of_condition(condition)
  if until_ms then redis.call('ZADD', EXPIRING, int(until_ms), 'wait ' .. id) end
  if not kind then return false end
  local _, flow, class = header(body)
  add_unknown(cx, kind, unknown_member(id, body, class, flow))
  return true
end
