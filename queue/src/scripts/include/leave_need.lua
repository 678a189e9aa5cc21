-- Takes a parked job out of the indexes of what it is parked for.
-- include: kinds, unknown_member
local function leave_need(cx, id, key, body, flow, class)
  redis.call('ZREM', PARKED, id)
  local condition = redis.call('HGET', key, 'need')
  if condition and redis.call('ZREM', NEED .. condition, id) == 1 and redis.call('HINCRBY', NEEDS, condition, -1) <= 0 then
    redis.call('HDEL', NEEDS, condition)
  end
  local kind = condition and kind_of_condition(condition)
  if kind then remove_unknown(cx, kind, unknown_member(id, body, class, flow)) end
  if not kind then redis.call('ZREM', EXPIRING, 'wait ' .. id) end
  redis.call('HDEL', key, 'need', 'why')
end
