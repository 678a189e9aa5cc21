-- Makes parked jobs ready whose condition is met, some at a time. `releasing` records how far that
-- is, so that any caller can continue it and show it.
-- include: await, int, job, moves, put, state, leave_need, signals

-- `how`: `begin` for all jobs that are parked for the condition now, `continue` for the rest of an
-- earlier begin (without jobs that are parked again meanwhile, which would keep it busy for ever),
-- or `some` for no more than the bound. Returns how many became ready, and how many are left.
local function release_parked(cx, condition, bound, how)
  local index, begins, some = NEED .. condition, how == 'begin', how == 'some'
  -- `jobs parked up to this time, how many these are, how many are done, since when`.
  local told = redis.call('HGET', RELEASING, condition)
  local upto, total, done, since = string.match(told or '', '^(%S+) (%d+) (%d+) (%d+)$')
  if not upto and not begins and not some then return 0, 0 end
  total, done, since = tonumber(total or '0'), tonumber(done or '0'), since or cx.at
  if begins or some then
    -- Not the present time: the clock of an earlier master may have been ahead of it.
    upto = redis.call('ZRANGE', index, '-1', '-1', 'WITHSCORES')[2] or cx.at
    total = done + redis.call('ZCARD', index)
  end
  local ids = redis.call('ZRANGE', index, '-inf', upto, 'BYSCORE', 'LIMIT', 0, bound)
  local payload, released, looked = payload_of(condition), 0, 0
  for i, id in ipairs(ids) do
    if cx.read >= CALL_BYTES then break end
    looked = looked + 1
    local key = JOB .. id
    local job = fields_of(key, 'job', 'state', 'need', 'await')
    if job[1] and state_of(job[2]) == 'parked' and job[3] == condition then
      cx.read = cx.read + #job[1] + (payload and #payload or 0)
      local _, flow, class, deadline = header(job[1])
      leave_need(cx, id, key, job[1], flow, class)
      if payload and job[4] then
        confirm(cx, id, key, job[1], job[2], condition)
      elseif payload and not is_answered(key, condition) then
        answer_wait(cx, id, key, job[2], class .. ':' .. flow, condition, payload, run_by(cx, deadline, i))
      else
        if job[4] then leave_await(cx, id, key, job[1], deadline) end
        become(cx, key, 'ready', job[2])
        -- Remembers which builds could not read its arguments: two such builds would hand the job
        -- to and fro.
        if string.sub(condition, 1, 5) == 'args ' then redis.call('HSET', key, 'needed', condition) end
        put(cx, id, class .. ':' .. flow, run_by(cx, deadline, i))
        move(cx, 'unparked', id)
      end
      released = released + 1
    else
      -- It is parked for another condition by now, or not parked.
      redis.call('ZREM', index, id)
      if redis.call('HINCRBY', NEEDS, condition, -1) <= 0 then redis.call('HDEL', NEEDS, condition) end
    end
  end
  local left = 0
  if redis.call('EXISTS', index) == 1 then
    left = redis.call('ZCOUNT', index, '-inf', upto)
  elseif #ids == 0 then
    redis.call('HDEL', NEEDS, condition)
  end
  if left == 0 and payload and not some then
    local heard, ended = hear(cx, condition, bound - #ids)
    looked, released = looked + heard, released + ended
    left = redis.call('ZCARD', SILENT .. condition)
  end
  -- A release of some jobs leaves one that was begun as it is.
  if some then return released, 0 end
  if left > 0 then
    -- Jobs that left the condition in other ways meanwhile are done as well.
    done = math.max(done + looked, total - left)
    redis.call('HSET', RELEASING, condition, upto .. ' ' .. int(total) .. ' ' .. int(done) .. ' ' .. since)
  elseif told then
    redis.call('HDEL', RELEASING, condition)
  end
  return released, left
end
