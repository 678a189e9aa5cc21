-- Leases the ready jobs of a class.
-- include: int, limits, reservations, turns, ring, leave_ring, release_lanes, take_first
-- include: claim/new, claim/lease, claim/ring

-- Takes a lane out of the ring until there is room under a key again.
local function block(cx, class, flow, blocking, turn)
  local lane = class .. ':' .. flow
  leave_ring(class, flow)
  if redis.call('EXISTS', LANE .. lane) == 1 then
    redis.call('ZADD', BLOCKED .. blocking, blocked_score(class, turn), lane)
    redis.call('HSET', HELD, lane, blocking)
    count_held(class, flow, blocking, 1)
    cx.any_held = true
    local at_token = next_token_of(cx, limit_of(cx, blocking))
    if at_token then redis.call('ZADD', PACED, int(at_token), blocking) end
  else
    redis.call('ZREM', LANES .. class, flow)
    redis.call('HDEL', PASSED, lane)
  end
end
-- Counts jobs that were started for the limits of their lane; `unused` slots were planned for.
local function count_started(lane, started)
  local unused = lane.planned - started
  for _, limit in ipairs(lane.limits) do
    limit.room = limit.room + unused
    limit.taken = limit.taken - unused
    if limit.concurrency and started > 0 then hold(limit, started) end
  end
end
-- Leases what was planned for a lane. Returns how many jobs were leased, and how many were
-- taken out of the lane. `turns` gathers the turns of lanes that stay in the ring.
local function serve_lane(cx, c, class, lane, turns)
  local flow = lane.flow
  local name, popped, scores, dropped = lane.name or class .. ':' .. flow, nil, nil, 0
  if not is_spent(cx, c) then popped, scores, dropped = take_first(cx, name, lane.planned) end
  local count, started = 0, 0
  for i = 1, popped and #popped or 0 do
    -- As `is_spent`, for each job.
    if c.bytes >= CALL_BYTES or cx.read >= CALL_BYTES then
      put_back(name, popped, scores, i)
      break
    end
    count = i
    if lease(cx, c, popped[i]) then started = started + 1 end
  end
  count_started(lane, started)
  lane.turn = lane.turn - (lane.planned - count) * lane.step
  local is_empty = popped and count == 0 and redis.call('EXISTS', LANE .. name) == 0
  -- What was read ahead may lack a lane that is let in.
  if cx.limited and started == 0 and (count > 0 or is_empty) and pass_on(cx, flow, nil) then c.windows = {} end
  for _, key in ipairs(lane.ended or {}) do
    if release_lanes(cx, key) then c.windows = {} end
  end
  if lane.passed and (started > 0 or redis.call('EXISTS', LANE .. name) == 0) then redis.call('HDEL', PASSED, name) end
  if is_empty then
    -- Its turn came and it has nothing.
    leave_ring(class, flow)
    redis.call('ZREM', LANES .. class, flow)
    c.examined = c.examined + 1
  else
    turns[#turns + 1] = lane.turn
    turns[#turns + 1] = flow
    -- A job that is gone costs a quarter of one that is there.
    c.examined = c.examined + count - started + math.ceil(dropped / 4)
  end
  return started, count
end
-- Leases up to n ready jobs of one class. Returns how many, and whether it stopped for want of
-- lanes or bytes while other jobs may be next.
local function take(cx, c, class, n)
  local got, ready, left = 0, c.ready[class], c.ready[class]
  local began, at_least = cx.times[class], quantum_of(c, class)
  -- A class that gets a part of the claim gets that part of the lanes.
  local lanes = math.min(c.lanes_left, math.ceil(LANES_AT_MOST * n / c.want))
  c.lanes_left = c.lanes_left - lanes
  while got < n and lanes > 0 and c.examined <= MAX_BATCH and not is_spent(cx, c) do
    -- About as many lanes as are needed.
    local queue, horizon = window_of(cx, c, class, math.min(lanes, math.ceil((n - got) / at_least)))
    local served, held = divide(cx, class, queue, horizon, n - got, at_least)
    lanes = lanes - #served - #held
    -- Some lanes had less than that.
    at_least = math.max(1, math.floor(at_least / 2))
    if #served + #held == 0 then break end
    local turns, before = {}, left
    for _, lane in ipairs(served) do
      local started, count = serve_lane(cx, c, class, lane, turns)
      got, left = got + started, left - count
    end
    if #turns > 0 then redis.call('ZADD', RING .. class, 'XX', unpack(turns)) end
    for _, lane in ipairs(held) do
      c.examined = c.examined + 1
      -- Lanes that were planned for and had less may have left some room.
      if room_for(cx, lane.blocking, class, lane.name) < 1 then
        block(cx, class, lane.flow, lane.blocking.key, lane.turn)
        if pass_on(cx, lane.flow, lane.blocking.key) then c.windows = {} end
      end
    end
    if left < before and left <= 0 then
      redis.call('UNLINK', RING .. class, LANES .. class, FLOWS .. class)
      break
    end
  end
  c.lanes_left = c.lanes_left + math.max(lanes, 0)
  local cut = got < n and left > 0 and (lanes <= 0 or c.examined > MAX_BATCH or is_spent(cx, c))
  if left ~= ready then set_field(c, 'ready:' .. class, int(left)) end
  c.ready[class] = left
  if cx.times[class] ~= began then set_field(c, 'time:' .. class, cx.times[class]) end
  return got, cut
end
