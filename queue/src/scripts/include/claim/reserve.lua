-- Gives reservations to lanes with several limit keys.
--
-- A lane waits for one key at a time. While it waits for one key, other lanes may take what is
-- free under the other, again and again. So the claim counts how often a lane was sent on from
-- key to key (`passed`). After RESERVE_AFTER times those of its keys that have room reserve
-- their next slot for it. All lanes get reservations in the order of `comes_first`, and wait
-- only for keys that come later in it, so these waits end.
-- include: int, reservations

-- A reserved slot stands empty, so keys come first that have more than one: a token of several
-- costs other lanes least. A key that has but one is closed by a reservation: single slots come
-- next, and last single tokens, of which the next one is known to come, the slower first.
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
-- Notes that a lane is sent on to wait for `blocking`, and reserves slots once that was often.
local function send_on(cx, lane, blocking)
  -- Its jobs may have left it since its last turn.
  if redis.call('EXISTS', LANE .. lane.name) == 0 then return end
  local times, last = string.match(lane.passed or '0 ', '^(%d+) (.*)$')
  times = tonumber(times) or 0
  if last ~= blocking.key then
    times, cx.any_passed = times + 1, true
    redis.call('HSET', PASSED, lane.name, int(times) .. ' ' .. blocking.key)
  end
  -- Nothing is reserved while a key is closed, which may be for long. A key has one reservation:
  -- this lane takes it over from a less urgent one.
  local reserves, class = times >= RESERVE_AFTER and blocking.concurrency ~= 0, string.sub(lane.name, 1, 1)
  for _, limit in ipairs(lane.limits) do
    if limit == blocking then reserves = false end
    if not reserves then
      if limit.reserved == lane.name then end_reservation(cx, limit) end
    elseif (not limit.reserved or goes_before(class, limit)) and room_for(cx, limit, class, lane.name) >= 1 then
      if limit.reserved then end_reservation(cx, limit) end
      limit.reserved, limit.room, cx.some_reserved = lane.name, limit.room - 1, true
      redis.call('HSET', PROMISED, limit.key, lane.name)
    end
  end
end
-- A lane that starts jobs needs its reservations no more. `lane.ended` lists their keys.
local function use_reservations(cx, lane)
  for _, limit in ipairs(lane.limits) do
    if limit.reserved == lane.name then
      end_reservation(cx, limit)
      lane.ended = lane.ended or {}
      lane.ended[#lane.ended + 1] = limit.key
    end
  end
end
