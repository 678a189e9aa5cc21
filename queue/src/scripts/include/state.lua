-- Reads fields of a job and writes its state.
-- include: job, spent

-- Some fields of a job. A key that was damaged by hand has no fields: it must not end a script
-- that has begun to write.
local function fields_of(key, ...)
  local read = redis.pcall('HMGET', key, ...)
  return read.err and {false, false, false} or read
end
-- One field of a job.
local function field_of(key, name)
  local read = redis.pcall('HGET', key, name)
  return type(read) ~= 'table' and read
end
-- Writes a state; `text` is the state field so far, whose last attempt stays. Adds the time in that
-- state to what the job spent. `stage` is the stage of the new state, where it does not follow from
-- the state.
local function become(cx, key, state, text, stage)
  local value = state .. ' ' .. cx.at .. attempt_of(text)
  if stage or stage_left(text) then
    local spent = spent_after(field_of(key, 'spent'), text, state, cx.now, stage)
    redis.call('HSET', key, 'state', value, 'spent', spent)
  else
    redis.call('HSET', key, 'state', value)
  end
end
