-- Makes jobs ready. `cx.pending` gathers them by lane, in the order of `cx.pending_lanes`, until
-- `put_all` puts them into their lanes.
-- include: int, lane, tenant, limits, turns, ring

-- What waits to be put into a lane: ids for the end of its list, and placed ones (score, id).
local function waiting_for(cx, lane)
  if not cx.pending then cx.pending, cx.pending_lanes = {}, {} end
  local jobs = cx.pending[lane]
  if not jobs then
    jobs = {listed = {}, placed = {}}
    cx.pending[lane] = jobs
    cx.pending_lanes[#cx.pending_lanes + 1] = lane
  end
  return jobs
end
-- Puts a job into a lane by when it should run (µs, a text).
local function put(cx, id, lane, score)
  local placed = waiting_for(cx, lane).placed
  placed[#placed + 1] = score
  placed[#placed + 1] = id
end
-- Puts flows that are neither in the ring of their class nor held into it. True when the ring
-- was empty.
local function take_turns_all(cx, class, flows)
  local ring, lanes, owners = {}, {}, {}
  local tenants, lanes_of = {}, {}
  for i, flow in ipairs(flows) do
    lanes[2 * i - 1], lanes[2 * i] = '0', flow
    local tenant = tenant_of(flow)
    owners[i] = tenant
    if not lanes_of[tenant] then
      tenants[#tenants + 1] = tenant
      lanes_of[tenant] = 0
    end
  end
  local before, after = redis.call('HMGET', FLOWS .. class, unpack(tenants)), {}
  for i, tenant in ipairs(tenants) do lanes_of[tenant] = tonumber(before[i] or '0') end
  local newest = math.max(virtual_time(cx, class), tonumber(redis.call('HGET', CONTROL, 'newest:' .. class) or '0'))
  local turns
  turns, newest = new_turns(newest, owners, lanes_of, function(tenant)
    local limit = cx.limited and tenant ~= '' and limit_of(cx, 'tenant:' .. tenant)
    return limit and limit.weight or 1
  end)
  for i, flow in ipairs(flows) do ring[2 * i - 1], ring[2 * i] = turns[i], flow end
  redis.call('HSET', CONTROL, 'newest:' .. class, newest)
  redis.call('ZADD', RING .. class, unpack(ring))
  redis.call('ZADD', LANES .. class, unpack(lanes))
  for i, tenant in ipairs(tenants) do after[2 * i - 1], after[2 * i] = tenant, int(lanes_of[tenant]) end
  redis.call('HSET', FLOWS .. class, unpack(after))
  return redis.call('ZCARD', RING .. class) == #flows
end
-- Puts what is pending into its lanes. True when a sleeping worker has to be woken: workers go
-- to sleep after they saw an empty ring, so the first job that they could have owes a wake-up.
local function put_all(cx)
  if not cx.pending then return false end
  local wake, classes = false, {}
  for _, lane in ipairs(cx.pending_lanes) do
    local class = string.sub(lane, 1, 1)
    local group = classes[class]
    if not group then
      group = {n = 0, lanes = {}, flows = {}, new = {}}
      classes[class] = group
    end
    local jobs, is_new = cx.pending[lane], false
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
    local waits_for = cx.limited and redis.call('HMGET', HELD, unpack(group.lanes))
    local new = {}
    for i = 1, #group.lanes do
      if turns[i] then
        -- The lane was emptied and its turn has not come since. Workers are awake because of
        -- other lanes with jobs, unless limits hold those.
        wake = wake or alone or cx.limited and group.new[i]
      elseif not (waits_for and waits_for[i]) then
        new[#new + 1] = group.flows[i]
      end
    end
    if #new > 0 and take_turns_all(cx, class, new) then wake = true end
  end
  cx.pending = nil
  return wake
end
-- When a job should run (µs, a text): by its deadline, or PATIENCE_US after it became ready.
-- `i` keeps jobs of one call in order.
local function run_by(cx, deadline, i)
  if deadline ~= '' then return int(tonumber(string.match(deadline, '^%d+')) * 1000) end
  return int(cx.us + (i or 0) + PATIENCE_US)
end
