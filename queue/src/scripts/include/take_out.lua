-- Takes a job that waits or is dead out of the index of its state. True when other jobs may
-- run instead.
-- include: lane_gone, ring, release_lanes, leave_need, group
local function take_out(cx, id, key, state, body, flow, class)
  local woken = false
  if state == 'ready' then
    local lane = class .. ':' .. flow
    leave_lane(id, lane)
    local left = redis.call('HINCRBY', CONTROL, 'ready:' .. class, -1)
    if cx.limited and redis.call('EXISTS', LANE .. lane) == 0 then
      local held = redis.call('HGET', HELD, lane)
      redis.call('HDEL', PASSED, lane)
      if held then
        redis.call('ZREM', BLOCKED .. held, lane)
        redis.call('HDEL', HELD, lane)
        count_held(class, flow, held, -1)
        redis.call('ZREM', LANES .. class, flow)
      end
      -- Here and not at the lane's next turn: in a class without jobs that may never come.
      woken = pass_on(cx, flow, held)
    end
    if left <= 0 then redis.call('UNLINK', RING .. class, LANES .. class, FLOWS .. class) end
  elseif state == 'scheduled' then
    redis.call('ZREM', SCHEDULED, id)
  elseif state == 'parked' then
    leave_need(cx, id, key, body, flow, class)
  elseif state == 'dead' then
    redis.call('ZREM', DEAD, id)
    leave_group(cx, id, key)
  end
  return woken
end
