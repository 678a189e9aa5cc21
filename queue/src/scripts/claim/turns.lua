-- Part of a claim: which lanes of a class have their turn, and how many jobs of each.

-- Takes a lane out of the ring until there is room under the key again.
local function block(class, flow, blocking, turn)
  local lane = class .. ':' .. flow
  leave_ring(class, flow)
  if redis.call('EXISTS', LANE .. lane) == 1 then
    redis.call('ZADD', BLOCKED .. blocking, class * CLASS_APART + turn, lane)
    redis.call('HSET', HELD, lane, blocking)
    count_held(class, flow, blocking, 1)
    any_held = true
    local at_token = next_token_of(limit_of(blocking))
    if at_token then redis.call('ZADD', PACED, int(at_token), blocking) end
  else
    redis.call('ZREM', LANES .. class, flow)
    redis.call('HDEL', PASSED, lane)
  end
end

-- A lane waits for one key at a time. One that goes from key to key and finds this one
-- taken while it waits for that one would never run where others use up both, so it is
-- counted how often it was sent on, and after so many times a place is kept for it under
-- those keys that had room. Nobody waits for a key that keeps a place of a later one, in
-- the order of `comes_first`, so these waits have an end.
local SENT_ON = 4
local any_passed = nil
local function send_on(lane, blocking)
  -- Its jobs may have left it since its last turn.
  if redis.call('EXISTS', LANE .. lane.name) == 0 then return end
  local times, last = string.match(lane.passed or '0 ', '^(%d+) (.*)$')
  times = tonumber(times) or 0
  if last ~= blocking.key then
    times, any_passed = times + 1, true
    redis.call('HSET', PASSED, lane.name, int(times) .. ' ' .. blocking.key)
  end
  -- Nothing is kept while a key is closed, for it may be for long. A key keeps one place: what
  -- it keeps for a less urgent lane it keeps for this one from now on.
  local keeps, class = times >= SENT_ON and blocking.concurrency ~= 0, string.sub(lane.name, 1, 1)
  for _, limit in ipairs(lane.limits) do
    if limit == blocking then keeps = false end
    if not keeps then
      if limit.promised == lane.name then end_promise(limit) end
    elseif (not limit.promised or goes_before(class, limit)) and room_for(limit, class, lane.name) >= 1 then
      if limit.promised then end_promise(limit) end
      promise(limit, lane.name)
    end
  end
end
-- A lane starts jobs: it needs no place that was kept any more.
local function keep_promises(lane)
  for _, limit in ipairs(lane.limits) do
    if limit.promised == lane.name then
      end_promise(limit)
      lane.kept = lane.kept or {}
      lane.kept[#lane.kept + 1] = limit.key
    end
  end
end

-- The order in which lanes are kept places under their keys, the same for all of them. What
-- is kept stands empty, so keys come first that have more than the one: a token of several
-- costs others least. A key that has but one is closed by keeping it: single places come
-- next, and then single tokens, of which the next one is known to come, the slower first.
local function rank_of(limit)
  if limit.concurrency and limit.concurrency < 2 then return 3 end
  if not limit.rate then return 2 end
  return limit.burst < 2 and 4 or 1
end
local function comes_first(one, other)
  local rank, behind = rank_of(one), rank_of(other)
  if rank ~= behind then return rank < behind end
  if rank == 4 and one.rate ~= other.rate then return one.rate < other.rate end
  local tenants, others = string.sub(one.key, 1, 7) == 'tenant:', string.sub(other.key, 1, 7) == 'tenant:'
  if tenants ~= others then return tenants end
  return one.key < other.key
end

-- What is known of a flow: its tenant and the tenant's weight, and the limits that hold
-- its jobs, with their room.
local no_limits = {}
local function limited_flow(name)
  local flow = flow_of(name)
  if flow.limits then return flow end
  flow.limits = no_limits
  if limited then
    local limits, n = {}, 0
    for i, key in ipairs(flow.keys) do
      local limit = limit_of(key)
      if limit then
        if limit.concurrency or limit.rate then
          room_of(key, limit)
          n = n + 1
          limits[n] = limit
        end
        -- The first is the tenant's, if there is one.
        if limit.weight and i == 1 and flow.tenant ~= '' then flow.weight = limit.weight end
      end
    end
    if n > 1 then table.sort(limits, comes_first) end
    if n > 0 then flow.limits = limits end
  end
  return flow
end

-- How far ahead of its turn a lane is served at most, in virtual time, so that the work
-- of a claim is bounded by its size and not by that of the ring: what a lane gets ahead
-- it waits for afterwards.
local quantum = tonumber(ARGV[10])
-- Who comes anew may have to wait until all that take turns had theirs. Where that would
-- come to more jobs than ROTATION each gets less, but not below a quarter of a claim.
local ROTATION = 4096
-- How many lanes take turns in each class that has jobs.
local turning = {}
local function quantum_of(class)
  local quarter = math.max(1, math.floor(want / 4))
  if quantum <= quarter then return quantum end
  return math.max(quarter, math.min(quantum, math.floor(ROTATION / math.max(1, turning[class]))))
end
-- The jobs of many lanes lie far apart in memory and cost Redis half as much again, so a
-- claim is then smaller.
local MANY_LANES, JOBS_OF_MANY = 1024, 80
-- Where lanes have few jobs each, a claim ends at so many lanes, because each costs as
-- much as two jobs; a class that gets a part of the claim gets that part of the lanes.
local LANES_AT_MOST, lanes_left = 32, 48

-- Lanes of a class whose turns come first, and the keys that may limit them.
local function read_ring(class, most, keys)
  local window = redis.call('ZRANGE', RING .. class, '0', int(most), 'WITHSCORES')
  if limited then
    for i = 1, #window, 2 do
      for _, key in ipairs(keys_of(window[i])) do keys[#keys + 1] = key end
    end
  end
  return window
end
-- What was read of the rings ahead, so that all limits are learnt at once.
local windows = {}
local function read_ahead(parts)
  local keys = {'queue'}
  for class, n in pairs(parts) do
    local most = math.min(LANES_AT_MOST, math.ceil(n / quantum_of(class)))
    windows[class] = {most = most, lanes = read_ring(class, most, keys)}
  end
  learn(keys)
end
local function window_from(class, most)
  local ahead = windows[class]
  windows[class] = nil
  if ahead and ahead.most >= most then return ahead.lanes, ahead.most end
  local keys = {}
  local window = read_ring(class, most, keys)
  learn(keys)
  return window, most
end

-- Lanes of a class whose turns come first, at least `most` if there are so many, and
-- when it is the turn of one behind them.
local function window_of(class, most)
  local window, most = window_from(class, most)
  local queue, fields, torn = {}, {}, {}
  local some_held = limited and is_any_held()
  for i = 1, #window, 2 do
    local flow = limited_flow(window[i])
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
  if torn[1] and any_passed == nil then any_passed = redis.call('EXISTS', PASSED) == 1 end
  if torn[1] and any_passed then
    local names = {}
    for i, lane in ipairs(torn) do names[i] = lane.name end
    for i, passed in ipairs(redis.call('HMGET', PASSED, unpack(names))) do torn[i].passed = passed end
  end
  -- One that is alone here may still share a limit with lanes that it holds.
  if #queue > 1 or some_held and #queue > 0 then
    -- A tenant's share is split among its lanes: those that take turns, and those
    -- that are held by a limit of this one.
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

-- Divides n jobs among lanes: one after the other to the lane whose turn it is.
-- What is divided starts at once, so each lane is then asked for its part in one
-- go. Returns the lanes that get some, and those that a limit holds.
local function divide(class, queue, horizon, n, quantum)
  local served, held = {}, {}
  local head = 1
  while n > 0 and head <= #queue do
    local lane = queue[head]
    -- Beyond the window other lanes may come first.
    if lane.turn > horizon then break end
    head = head + 1
    local blocking, part = nil, n
    local follower = queue[head] and queue[head].turn or horizon
    if follower < math.huge then
      local ahead = math.floor((follower - lane.turn) / lane.step) + 1
      if quantum > 1 then ahead = math.max(ahead, math.floor(quantum / lane.step)) end
      part = math.min(n, ahead)
    end
    for _, limit in ipairs(lane.limits) do
      local room = room_for(limit, class, lane.name)
      if room < part then part = room end
      if part < 1 then
        blocking = limit
        break
      end
    end
    if blocking then
      if #lane.limits > 1 then
        if lane.planned == 0 then send_on(lane, blocking) end
      elseif lane.name and blocking.promised == lane.name then
        -- Its other keys have no limits any more, and it waits for this one like others.
        end_promise(blocking)
      end
      lane.blocking = blocking
      held[#held + 1] = lane
    else
      if some_promised and lane.name then keep_promises(lane) end
      for _, limit in ipairs(lane.limits) do
        limit.room = limit.room - part
        limit.taken = limit.taken + part
      end
      if lane.planned == 0 then served[#served + 1] = lane end
      lane.planned = lane.planned + part
      n = n - part
      times[class] = lane.turn
      lane.turn = lane.turn + part * lane.step
      local place = #queue + 1
      while place > head and queue[place - 1].turn > lane.turn do place = place - 1 end
      table.insert(queue, place, lane)
    end
  end
  return served, held
end

-- Leases up to n jobs of one class. Returns how many, and whether others may be next that
-- it had no lanes or bytes for.
local function take(class, n)
  local ring, got = RING .. class, 0
  local ready = tonumber(control[class + 1])
  local left = ready
  virtual_time(class)
  local began, at_least = times[class], quantum_of(class)
  local lanes = math.min(lanes_left, math.ceil(LANES_AT_MOST * n / want))
  lanes_left = lanes_left - lanes
  while got < n and lanes > 0 and examined <= 128 and bytes < CALL_BYTES and compared < CALL_BYTES do
    -- About as many as are needed.
    local queue, horizon = window_of(class, math.min(lanes, math.ceil((n - got) / at_least)))
    local served, held = divide(class, queue, horizon, n - got, at_least)
    lanes = lanes - #served - #held
    -- Some had less than that.
    at_least = math.max(1, math.floor(at_least / 2))
    if #served + #held == 0 then break end
    local turns, popped_here = {}, 0
    for _, lane in ipairs(served) do
      local flow = lane.flow
      local name, popped, scores, dropped = lane.name or class .. ':' .. flow, nil, nil, 0
      if bytes < CALL_BYTES and compared < CALL_BYTES then popped, scores, dropped = take_first(name, lane.planned) end
      local count, started = 0, 0
      for i, id in ipairs(popped or NONE) do
        if bytes >= CALL_BYTES or compared >= CALL_BYTES then
          put_back(name, popped, scores, i)
          break
        end
        count = i
        if lease(id) then started = started + 1 end
      end
      local unused = lane.planned - started
      for _, limit in ipairs(lane.limits) do
        limit.room = limit.room + unused
        limit.taken = limit.taken - unused
        if limit.concurrency and started > 0 then hold(limit, started) end
      end
      got = got + started
      popped_here = popped_here + count
      lane.turn = lane.turn - (lane.planned - count) * lane.step
      local is_empty = popped and count == 0 and redis.call('EXISTS', LANE .. name) == 0
      -- What was read ahead may lack a lane that is let in.
      if limited and started == 0 and (count > 0 or is_empty) and pass_on(flow, nil) then windows = {} end
      if lane.kept then
        for _, key in ipairs(lane.kept) do
          if release_lanes(key) then windows = {} end
        end
      end
      if lane.passed and (started > 0 or redis.call('EXISTS', LANE .. name) == 0) then redis.call('HDEL', PASSED, name) end
      if is_empty then
        -- Its turn came and it has nothing.
        leave_ring(class, flow)
        redis.call('ZREM', LANES .. class, flow)
        examined = examined + 1
      else
        turns[#turns + 1] = lane.turn
        turns[#turns + 1] = flow
        -- Those that are gone cost a quarter of a job.
        examined = examined + count - started + math.ceil(dropped / 4)
      end
    end
    if #turns > 0 then redis.call('ZADD', ring, 'XX', unpack(turns)) end
    for _, lane in ipairs(held) do
      examined = examined + 1
      -- Lanes that were planned for and had less may have left some room.
      if room_for(lane.blocking, class, lane.name) < 1 then
        block(class, lane.flow, lane.blocking.key, lane.turn)
        if pass_on(lane.flow, lane.blocking.key) then windows = {} end
      end
    end
    if popped_here > 0 then
      left = left - popped_here
      if left <= 0 then
        redis.call('UNLINK', ring, LANES .. class, FLOWS .. class)
        break
      end
    end
  end
  lanes_left = lanes_left + math.max(lanes, 0)
  local cut = got < n and left > 0 and (lanes <= 0 or examined > 128 or bytes >= CALL_BYTES or compared >= CALL_BYTES)
  if left ~= ready then change('ready:' .. class, int(left)) end
  control[class + 1] = left
  if times[class] ~= began then change('time:' .. class, times[class]) end
  return got, cut
end
