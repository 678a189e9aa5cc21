-- Writes schedules. A schedule is a hash; the sorted set of all names has when the next run of each starts.
-- include: int

-- Puts a schedule to its next due time, or to none. A paused one stands behind all others.
local function due_at(name, due, starts)
  local key = SCHEDULE .. name
  if due == '' then
    redis.call('HDEL', key, 'next', 'starts')
  else
    redis.call('HSET', key, 'next', due, 'starts', starts)
  end
  local is_paused = redis.call('HEXISTS', key, 'paused') == 1
  redis.call('ZADD', SCHEDULES, (due == '' or is_paused) and '+inf' or starts, name)
end
-- Defines a schedule. Its versions grow over all schedules of the queue, so that a schedule that is made again
-- never has a version that it had before. `keeps` leaves the due time as it is.
local function define(cx, name, definition, origin, by, keeps, due, starts)
  local version = int(redis.call('HINCRBY', CONTROL, 'schedule_version', 1))
  redis.call('HSET', SCHEDULE .. name, 'version', version, 'definition', definition, 'origin', origin, 'by', by,
    'changed', cx.at)
  if not keeps then due_at(name, due, starts) end
  return version
end
-- Removes a schedule. Its jobs stay.
local function remove_schedule(name)
  redis.call('DEL', SCHEDULE .. name)
  redis.call('ZREM', SCHEDULES, name)
end
