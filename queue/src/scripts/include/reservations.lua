-- A reservation keeps the next slot or token of a limit key for one lane (`promised`, by key).
-- A lane with several limit keys gets one after it was passed over too often (see `send_on`).
-- The slot is kept from lanes of the same class and of less urgent ones.
-- include: bucket

-- Whether lanes of a class take the reserved slot: they are more urgent than its owner.
local function goes_before(class, limit)
  return limit.reserved and class < string.sub(limit.reserved, 1, 1)
end
-- Ends a reservation. The slot becomes room for jobs that are parked for their kind as well.
-- These are in no lane, so the script wakes the workers that could run them
-- (`cx.reservation_ended`).
local function end_reservation(cx, limit)
  limit.reserved, cx.reservation_ended = false, true
  if limit.room and limit.counting <= cx.now then limit.room = limit.room + 1 end
  redis.call('HDEL', PROMISED, limit.key)
end
-- Ends a reservation for a lane that has no jobs.
local function end_empty_reservation(cx, limit)
  if not limit.reserved or redis.call('EXISTS', LANE .. limit.reserved) == 1 then return false end
  end_reservation(cx, limit)
  return true
end
-- How many jobs of one lane may start now; `lane` is '' or nil for jobs that no slot is
-- reserved for.
local function room_for(cx, limit, class, lane)
  local room = limit.room
  if room >= 1 or not limit.reserved or limit.counting > cx.now then return room end
  if end_empty_reservation(cx, limit) then return limit.room end
  if limit.reserved == lane or goes_before(class, limit) then return room + 1 end
  return room
end
-- When there may be a token for a job (ms), or the counting ends. Nil where no token is missing.
-- The room of the limit must be known.
local function next_token_of(cx, limit)
  if limit and limit.counting > cx.now then return limit.counting end
  if not limit or not limit.rate then return nil end
  local wanted, left = 1, limit.tokens - limit.taken
  if limit.reserved then
    local first = redis.call('ZRANGE', BLOCKED .. limit.key, '0', '0')[1]
    if not (first and goes_before(string.sub(first, 1, 1), limit)) then wanted = 2 end
  end
  -- A bucket of one token that is reserved has none for other lanes until it is used.
  if limit.burst < wanted and not ms_until(1, left, limit.rate) then return cx.now + RESERVED_TOKEN_MS end
  local wait = ms_until(wanted, left, limit.rate)
  return wait and cx.now + wait
end
