-- Which lanes of a class have their turn, and how many jobs of each.
-- include: int, flow, limits, reservations, turns, release_lanes, claim/reserve

-- What is known of a flow: its tenant and the tenant's weight, and the limits that hold its
-- jobs, with their room.
local function limited_flow(cx, name)
  local flow = flow_of(cx, name)
  if flow.limits then return flow end
  local limits = {}
  for i, key in ipairs(cx.limited and flow.keys or limits) do
    local limit = limit_of(cx, key)
    if limit then
      if limit.concurrency or limit.rate then
        room_of(cx, key, limit)
        limits[#limits + 1] = limit
      end
      -- The first key is the tenant's, if there is one.
      if limit.weight and i == 1 and flow.tenant ~= '' then flow.weight = limit.weight end
    end
  end
  if limits[2] then table.sort(limits, comes_first) end
  flow.limits = limits
  return flow
end

-- How far ahead of its turn a lane of a class is served at most, in virtual time, so that the
-- work of a claim is bounded by its size and not by that of the ring. What a lane gets ahead it
-- waits for afterwards. A new lane may have to wait until all lanes had their turn: where that
-- would come to more jobs than ROTATION each gets less, but not below a quarter of a claim.
local function quantum_of(c, class)
  local quarter = math.max(1, math.floor(c.want / 4))
  if c.quantum <= quarter then return c.quantum end
  return math.max(quarter, math.min(c.quantum, math.floor(ROTATION / math.max(1, c.turning[class]))))
end

-- Lanes of a class whose turns come first, and the keys that may limit them.
local function read_ring(cx, class, most, keys)
  local window = redis.call('ZRANGE', RING .. class, '0', int(most), 'WITHSCORES')
  if cx.limited then
    for i = 1, #window, 2 do
      for _, key in ipairs(flow_of(cx, window[i]).keys) do keys[#keys + 1] = key end
    end
  end
  return window
end
-- Reads the rings of several classes, so that all limits are read at once. `parts` has how many
-- jobs each class gets.
local function read_ahead(cx, c, parts)
  local keys = {'queue'}
  for class, n in pairs(parts) do
    local most = math.min(LANES_AT_MOST, math.ceil(n / quantum_of(c, class)))
    c.windows[class] = {most = most, lanes = read_ring(cx, class, most, keys)}
  end
  learn(cx, keys)
end
local function window_from(cx, c, class, most)
  local ahead = c.windows[class]
  c.windows[class] = nil
  if ahead and ahead.most >= most then return ahead.lanes, ahead.most end
  local keys = {}
  local window = read_ring(cx, class, most, keys)
  learn(cx, keys)
  return window, most
end

-- Reads how often lanes with several limit keys were sent on.
local function read_passed(cx, lanes)
  if lanes[1] and cx.any_passed == nil then cx.any_passed = redis.call('EXISTS', PASSED) == 1 end
  if not (lanes[1] and cx.any_passed) then return end
  local names = {}
  for i, lane in ipairs(lanes) do names[i] = lane.name end
  for i, passed in ipairs(redis.call('HMGET', PASSED, unpack(names))) do lanes[i].passed = passed end
end
-- Lanes of a class whose turns come first, at least `most` if there are so many, and when it
-- is the turn of the lane behind them.
local function window_of(cx, c, class, wanted)
  local window, most = window_from(cx, c, class, wanted)
  local queue, fields, torn = {}, {}, {}
  local some_held = cx.limited and is_any_held(cx)
  for i = 1, #window, 2 do
    local flow = limited_flow(cx, window[i])
    local lane = {flow = window[i], turn = tonumber(window[i + 1]), step = 1 / flow.weight, planned = 0, limits = flow.limits}
    queue[#queue + 1] = lane
    -- Also where one of its keys has no limit any more.
    if flow.keys[2] and flow.limits[1] then
      lane.name = class .. ':' .. window[i]
      torn[#torn + 1] = lane
    end
    fields[#fields + 1] = flow.tenant
    if some_held then
      for _, limit in ipairs(flow.limits) do fields[#fields + 1] = flow.tenant .. '|' .. limit.key end
    end
  end
  read_passed(cx, torn)
  -- A lane that is alone here may still share a limit with lanes that the limit holds.
  if #queue > 1 or some_held and #queue > 0 then
    -- A tenant's share is split among its lanes: those that take turns, and those that are held
    -- by a limit of this one.
    local lanes, read = redis.call('HMGET', FLOWS .. class, unpack(fields)), 0
    for _, lane in ipairs(queue) do
      local sharing = 0
      for _ = 0, some_held and #lane.limits or 0 do
        read = read + 1
        sharing = sharing + (lanes[read] or 0)
      end
      if sharing > 1 then lane.step = lane.step * sharing end
    end
  end
  return queue, #queue > most and queue[#queue].turn or math.huge
end

-- The first limit that lets no job of a lane start; or how many may start, up to `part`.
local function room_in(cx, lane, class, part)
  for _, limit in ipairs(lane.limits) do
    part = math.min(part, room_for(cx, limit, class, lane.name))
    if part < 1 then return part, limit end
  end
  return part
end
-- Divides n jobs among lanes: one after the other to the lane whose turn it is. What is divided
-- starts at once, so each lane is then asked for its part in one go. Returns the lanes that get
-- some, and those that a limit holds.
local function divide(cx, class, queue, horizon, n, quantum)
  local served, held = {}, {}
  local head = 1
  while n > 0 and head <= #queue do
    local lane = queue[head]
    -- Beyond the window other lanes may come first.
    if lane.turn > horizon then break end
    head = head + 1
    local part, blocking = n, nil
    local follower = queue[head] and queue[head].turn or horizon
    if follower < math.huge then part = math.min(n, part_of(lane.turn, follower, lane.step, quantum)) end
    if lane.limits[1] then part, blocking = room_in(cx, lane, class, part) end
    if blocking then
      if #lane.limits > 1 then
        if lane.planned == 0 then send_on(cx, lane, blocking) end
      elseif lane.name and blocking.reserved == lane.name then
        -- Its other keys have no limits any more, and it waits for this one like other lanes.
        end_reservation(cx, blocking)
      end
      lane.blocking = blocking
      held[#held + 1] = lane
    else
      if cx.some_reserved and lane.name then use_reservations(cx, lane) end
      for _, limit in ipairs(lane.limits) do
        limit.room = limit.room - part
        limit.taken = limit.taken + part
      end
      if lane.planned == 0 then served[#served + 1] = lane end
      lane.planned = lane.planned + part
      n = n - part
      cx.times[class] = lane.turn
      lane.turn = lane.turn + part * lane.step
      local place = #queue + 1
      while place > head and queue[place - 1].turn > lane.turn do place = place - 1 end
      table.insert(queue, place, lane)
    end
  end
  return served, held
end
