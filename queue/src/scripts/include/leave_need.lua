-- Takes a parked job out of the indexes of what it is parked for.
-- include: kinds, unknown_member
local function leave_need(cx, id, key, body, flow, class)
  redis.call('ZREM', PARKED, id)
  local need = redis.call('HGET', key, 'need')
  if need and redis.call('ZREM', NEED .. need, id) == 1 and redis.call('HINCRBY', NEEDS, need, -1) <= 0 then
    redis.call('HDEL', NEEDS, need)
  end
  local kind = need and kind_of_need(need)
  if kind then remove_unknown(cx, kind, unknown_member(id, body, class, flow)) end
  redis.call('HDEL', key, 'need', 'why')
end
