-- The ring of a class: its lanes by their turns. `cx.times` has the virtual time of each class.
-- include: tenant

local function virtual_time(cx, class)
  cx.times = cx.times or {}
  local time = cx.times[class]
  if not time then
    time = tonumber(redis.call('HGET', CONTROL, 'time:' .. class) or '0')
    cx.times[class] = time
  end
  return time
end
-- Puts a flow into the ring. A flow that is there keeps its turn: emptying a lane gains nothing.
local function take_turns(cx, class, flow, turn)
  if redis.call('ZADD', RING .. class, 'NX', math.max(turn, virtual_time(cx, class)), flow) == 1 then
    redis.call('HINCRBY', FLOWS .. class, tenant_of(flow), 1)
  end
end
-- Counts the lanes that a limit key holds, by tenant: they share its turns with those in the
-- ring.
local function count_held(class, flow, key, n)
  local field = tenant_of(flow) .. '|' .. key
  if redis.call('HINCRBY', FLOWS .. class, field, n) <= 0 then redis.call('HDEL', FLOWS .. class, field) end
end
