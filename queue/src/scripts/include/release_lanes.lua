-- Lets lanes that wait for a limit key take turns again.
-- include: int, limits, reservations, turns, ring, flow

-- Whether any lane waits for a key (`cx.any_held`, read once a call).
local function is_any_held(cx)
  if cx.any_held == nil then cx.any_held = redis.call('EXISTS', HELD) == 1 end
  return cx.any_held
end
-- Lets one lane in. Returns its class.
local function let_in(cx, key, lane, score)
  local class, flow = string.sub(lane, 1, 1), string.sub(lane, 3)
  redis.call('HDEL', HELD, lane)
  count_held(class, flow, key, -1)
  take_turns(cx, class, flow, turn_of_score(class, tonumber(score)))
  return class
end
-- Claims decide between classes, by their shares. So beside a lane of this class the first one
-- of each class behind it is let in, up to but without class `last`.
local function let_along(cx, key, class, last)
  while class + 1 < last do
    local from, to = int(blocked_score(class + 1, 0)), '(' .. int(blocked_score(last, 0))
    local first = redis.call('ZRANGE', BLOCKED .. key, from, to, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if #first == 0 then return end
    redis.call('ZREM', BLOCKED .. key, first[1])
    class = let_in(cx, key, first[1], first[2])
  end
end
-- Lets as many lanes in as there is room for, and at most LANES_LET_IN: each of them ends in
-- another release. True when one was let in.
local function release_lanes(cx, key)
  local limit = limit_of(cx, key)
  if limit then end_empty_reservation(cx, limit) end
  if not is_any_held(cx) then return false end
  local room, next_token = LANES_LET_IN, nil
  if limit then
    room = room_of(cx, key, limit)
    next_token = next_token_of(cx, limit)
  end
  local woken = false
  if room >= 1 then
    local lanes, class = redis.call('ZPOPMIN', BLOCKED .. key, math.min(room, LANES_LET_IN)), nil
    for i = 1, #lanes, 2 do
      class = let_in(cx, key, lanes[i], lanes[i + 1])
      woken = true
    end
    if woken then let_along(cx, key, class, CLASSES) end
  end
  if limit and limit.reserved and limit.counting <= cx.now and (room == 0 or woken) then
    -- More urgent classes may take the reserved slot.
    local first = redis.call('ZRANGE', BLOCKED .. key, '0', '0', 'WITHSCORES')
    if first[1] and goes_before(string.sub(first[1], 1, 1), limit) then
      redis.call('ZREM', BLOCKED .. key, first[1])
      let_along(cx, key, let_in(cx, key, first[1], first[2]), tonumber(string.sub(limit.reserved, 1, 1)))
      woken = true
    end
  end
  if limit and limit.rate and (woken or room >= 1) then next_token = cx.now + math.ceil(1000 / limit.rate) end
  if next_token and redis.call('EXISTS', BLOCKED .. key) == 1 then redis.call('ZADD', PACED, int(next_token), key) end
  return woken
end
-- A lane that was let in by a limit key and does not use the room passes it on to the next
-- lane; so does a lane whose jobs are gone, with its reservations. `but` is a key to leave out.
-- True when a lane was let in.
local function pass_on(cx, flow, but)
  local woken = false
  for _, key in ipairs(flow_of(cx, flow).keys) do
    if key ~= but and limit_of(cx, key) and release_lanes(cx, key) then woken = true end
  end
  return woken
end
