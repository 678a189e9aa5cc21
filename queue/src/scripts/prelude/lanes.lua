-- Part of what the scripts share: whose turn it is, what waits, and what stops running.

-- Lanes take turns by virtual time (start-time fair queueing, Goyal et al.
-- 1996): a lane's turn is its flow's score in the ring of its class.
local times, time_texts = {}, {}
local function virtual_time(class)
  local time = times[class]
  if not time then
    time = tonumber(time_texts[class] or redis.call('HGET', CONTROL, 'time:' .. class) or '0')
    times[class] = time
  end
  return time
end
local function tenant_of(flow) return string.match(flow, '^[^|]*') end
local function take_turns(class, flow, turn)
  -- A flow that was served lately keeps its turn: emptying a lane gains nothing.
  if redis.call('ZADD', RING .. class, 'NX', math.max(turn, virtual_time(class)), flow) == 1 then
    redis.call('HINCRBY', FLOWS .. class, tenant_of(flow), 1)
  end
end
local function leave_ring(class, flow)
  if redis.call('ZREM', RING .. class, flow) == 1 then
    local tenant = tenant_of(flow)
    if redis.call('HINCRBY', FLOWS .. class, tenant, -1) <= 0 then redis.call('HDEL', FLOWS .. class, tenant) end
  end
end
-- Lanes wait for a limit key by class, then by turn: virtual times of different
-- classes say nothing about each other. A double holds both, the turn to 1/128.
local CLASS_APART, CLASSES = 2 ^ 44, 4
-- Lanes that a key holds count for their tenant as well, beside the lanes that
-- share the key: they take its room in turns.
local function count_held(class, flow, key, n)
  local field = tenant_of(flow) .. '|' .. key
  if redis.call('HINCRBY', FLOWS .. class, field, n) <= 0 then redis.call('HDEL', FLOWS .. class, field) end
end
local function let_in(key, lane, score)
  local class, flow = string.sub(lane, 1, 1), string.sub(lane, 3)
  redis.call('HDEL', HELD, lane)
  count_held(class, flow, key, -1)
  take_turns(class, flow, tonumber(score) - class * CLASS_APART)
  return class
end
-- Whose turn it is among classes is for the claims to say, by their shares: beside a lane of
-- this class the first one of each class behind it comes along, but for `last` and lower ones.
local function let_along(key, class, last)
  while class + 1 < last do
    local from, to = int((class + 1) * CLASS_APART), '(' .. int(last * CLASS_APART)
    local first = redis.call('ZRANGE', BLOCKED .. key, from, to, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if #first == 0 then return end
    redis.call('ZREM', BLOCKED .. key, first[1])
    class = let_in(key, first[1], first[2])
  end
end
-- Lets lanes that wait for a limit key take turns again, as many as there is
-- room for. At most 32 a call: each of them ends in another release.
local any_held = nil
local function is_any_held()
  if any_held == nil then any_held = redis.call('EXISTS', HELD) == 1 end
  return any_held
end
local function release_lanes(key)
  local limit = limit_of(key)
  if limit then end_empty_promise(limit) end
  if not is_any_held() then return false end
  local room, next_token = 32, nil
  if limit then
    room = room_of(key, limit)
    next_token = next_token_of(limit)
  end
  local woken = false
  if room >= 1 then
    local lanes, class = redis.call('ZPOPMIN', BLOCKED .. key, math.min(room, 32)), nil
    for i = 1, #lanes, 2 do
      class = let_in(key, lanes[i], lanes[i + 1])
      woken = true
    end
    if woken then let_along(key, class, CLASSES) end
  end
  if limit and limit.promised and limit.counting <= now and (room == 0 or woken) then
    -- The place that is kept is one for more urgent classes.
    local first = redis.call('ZRANGE', BLOCKED .. key, '0', '0', 'WITHSCORES')
    if first[1] and goes_before(string.sub(first[1], 1, 1), limit) then
      redis.call('ZREM', BLOCKED .. key, first[1])
      let_along(key, let_in(key, first[1], first[2]), tonumber(string.sub(limit.promised, 1, 1)))
      woken = true
    end
  end
  if limit and limit.rate and (woken or room >= 1) then next_token = now + math.ceil(1000 / limit.rate) end
  if next_token and redis.call('EXISTS', BLOCKED .. key) == 1 then redis.call('ZADD', PACED, int(next_token), key) end
  return woken
end

-- Ready jobs of this call, by lane, until they are put into their lanes: the ids of those
-- that come one after the other, and those that have a place of their own.
local pending, pending_lanes = {}, {}
local function waiting_for(lane)
  local jobs = pending[lane]
  if not jobs then
    jobs = {listed = {}, placed = {}}
    pending[lane] = jobs
    pending_lanes[#pending_lanes + 1] = lane
  end
  return jobs
end
local function put(id, lane, score)
  local placed = waiting_for(lane).placed
  placed[#placed + 1] = score
  placed[#placed + 1] = id
end
-- Lanes that come anew start one behind the other, or whoever has the smaller name would
-- go first for ever. As far apart as `blocked` can tell them.
local ANEW_APART = 1 / 64
-- Lanes that are not in the ring of their class, and not held, take turns from now on.
-- True when nobody took turns before.
local function take_turns_all(class, flows)
  local ring, lanes, owners = {}, {}, {}
  local tenants, more = {}, {}
  for i, flow in ipairs(flows) do
    lanes[2 * i - 1], lanes[2 * i] = '0', flow
    local tenant = tenant_of(flow)
    owners[i] = tenant
    if not more[tenant] then
      tenants[#tenants + 1] = tenant
      more[tenant] = 0
    end
  end
  local before, after = redis.call('HMGET', FLOWS .. class, unpack(tenants)), {}
  for i, tenant in ipairs(tenants) do more[tenant] = tonumber(before[i] or '0') end
  local newest = math.max(virtual_time(class), tonumber(redis.call('HGET', CONTROL, 'newest:' .. class) or '0'))
  for i, flow in ipairs(flows) do
    local tenant = owners[i]
    newest = newest + ANEW_APART
    local turn, others = newest, more[tenant]
    -- A tenant with many lanes gets no turn more for each of them: they start as far apart
    -- as it may have jobs.
    if others > 0 then
      local limit = limited and tenant ~= '' and limit_of('tenant:' .. tenant)
      turn = turn + others / (limit and limit.weight or 1)
    end
    more[tenant] = others + 1
    ring[2 * i - 1], ring[2 * i] = turn, flow
  end
  redis.call('HSET', CONTROL, 'newest:' .. class, newest)
  redis.call('ZADD', RING .. class, unpack(ring))
  redis.call('ZADD', LANES .. class, unpack(lanes))
  for i, tenant in ipairs(tenants) do after[2 * i - 1], after[2 * i] = tenant, int(more[tenant]) end
  redis.call('HSET', FLOWS .. class, unpack(after))
  return redis.call('ZCARD', RING .. class) == #flows
end
-- Puts them in. True when a worker that sleeps has to be woken: workers go to
-- sleep after they saw nobody's turn, so a wake-up is owed by the first job that
-- they could have.
local function put_all()
  local wake, classes = false, {}
  for _, lane in ipairs(pending_lanes) do
    local class = string.sub(lane, 1, 1)
    local group = classes[class]
    if not group then
      group = {n = 0, lanes = {}, flows = {}, new = {}}
      classes[class] = group
    end
    local jobs, is_new = pending[lane], false
    if jobs.listed[1] then
      is_new = redis.call('RPUSH', LANE .. lane, unpack(jobs.listed)) == #jobs.listed
      group.n = group.n + #jobs.listed
    end
    if jobs.placed[1] then
      group.n = group.n + redis.call('ZADD', PLACED .. lane, unpack(jobs.placed))
      if mark(lane) then is_new = true end
    end
    local i = #group.lanes + 1
    group.lanes[i], group.flows[i], group.new[i] = lane, string.sub(lane, 3), is_new
  end
  for class, group in pairs(classes) do
    local alone = redis.call('HINCRBY', CONTROL, 'ready:' .. class, group.n) == group.n
    local turns = redis.call('ZMSCORE', RING .. class, unpack(group.flows))
    local waits_for = limited and redis.call('HMGET', HELD, unpack(group.lanes))
    local new = {}
    for i = 1, #group.lanes do
      if turns[i] then
        -- Its turn may not have come since it was empty. Other lanes with jobs are a
        -- reason for workers to be awake, unless limits hold those.
        wake = wake or alone or limited and group.new[i]
      elseif not (waits_for and waits_for[i]) then
        new[#new + 1] = group.flows[i]
      end
    end
    if #new > 0 and take_turns_all(class, new) then wake = true end
  end
  pending, pending_lanes = {}, {}
  return wake
end
-- When a job should have run (µs): its deadline, or a day after it became ready.
local function run_by(deadline, i)
  if deadline ~= '' then return int(tonumber(string.match(deadline, '^%d+')) * 1000) end
  return int(us + (i or 0) + PATIENCE_US)
end
local FIRST = '0'

-- Jobs that stop running free what they held of the limits: stretches of lists of ids,
-- each of one claim, by flow.
local freed = {}
local function free(ids, from, to, flow, claim)
  local stretches = freed[flow]
  if not stretches then
    stretches = {}
    freed[flow] = stretches
  end
  stretches[#stretches + 1] = {ids = ids, from = from, to = to, claim = claim}
end
-- To be called once they no longer count as running.
local function free_all()
  if not limited then return false end
  local keys = {'queue'}
  for flow in pairs(freed) do
    for _, key in ipairs(keys_of(flow)) do keys[#keys + 1] = key end
  end
  learn(keys)
  -- Workers sleep on the queue's own limit only once it is reached.
  local whole = limits.queue and limits.queue.concurrency
  -- They sleep as well on limits that hold parked jobs of their kinds: those are in no lane.
  local woken = some_unknown or whole and running_now() + n_over >= whole or false
  local touched = is_any_held() and {}
  for flow, stretches in pairs(freed) do
    for _, key in ipairs(keys_of(flow)) do
      local limit = limits[key]
      if limit then
        if touched then touched[key] = limit end
        limit.room = false
        if limit.concurrency then
          local n = 0
          for _, part in ipairs(stretches) do
            n = n + (part.claim > limit.since and part.to - part.from + 1
              or redis.call('SREM', HOLDERS .. key, unpack(part.ids, part.from, part.to)))
          end
          hold(limit, -n)
        end
      end
    end
  end
  if touched then
    for key in pairs(touched) do
      if release_lanes(key) then woken = true end
    end
  end
  store_held()
  return woken
end
