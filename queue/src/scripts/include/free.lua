-- Gives the slots of jobs that stop running back to their limits. `cx.freed` gathers these jobs
-- by flow: parts of lists of ids, each of one claim.
-- include: flow, limits, running, release_lanes

local function free(cx, ids, from, to, flow, claim)
  cx.freed = cx.freed or {}
  local parts = cx.freed[flow]
  if not parts then
    parts = {}
    cx.freed[flow] = parts
  end
  parts[#parts + 1] = {ids = ids, from = from, to = to, claim = claim}
end
-- Gives the slots back, after `running` was counted down. True when sleeping workers are to be
-- woken.
local function free_all(cx)
  if not cx.limited then return false end
  local keys, freed = {'queue'}, cx.freed or {}
  for flow in pairs(freed) do
    for _, key in ipairs(flow_of(cx, flow).keys) do keys[#keys + 1] = key end
  end
  learn(cx, keys)
  -- Workers sleep on the queue's own limit only once it is reached. They sleep as well on
  -- limits that hold parked jobs of their kinds: those are in no lane.
  local queue = cx.limits.queue
  local whole = queue and queue.concurrency
  local woken = cx.some_unknown or whole and running_now(cx) + (cx.n_over or 0) >= whole or false
  local touched = is_any_held(cx) and {}
  for flow, parts in pairs(freed) do
    for _, key in ipairs(flow_of(cx, flow).keys) do
      local limit = cx.limits[key]
      if limit then
        if touched then touched[key] = limit end
        limit.room = false
        if limit.concurrency then
          local n = 0
          for _, part in ipairs(parts) do
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
      if release_lanes(cx, key) then woken = true end
    end
  end
  store_held(cx)
  return woken
end
