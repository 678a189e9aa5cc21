-- How many jobs a waiting job has ahead of it, as bounds.
-- include: int, job, lane, place_in_lane, unknown_member

-- Of a ready job: those of its lane. A job that left the list of the lane is still listed, so the
-- lower bound leaves out as many as are gone.
local function ahead_in_lane(id, lane, body)
  local list = LANE .. lane
  local length, marks = redis.call('LLEN', list), is_marked(lane) and 1 or 0
  local gone = tonumber(redis.call('HGET', GONE .. lane, ALL) or '0')
  local score = tonumber(redis.call('ZSCORE', PLACED .. lane, id) or '')
  local least, most
  if score then
    -- Listed jobs come before it that should run earlier.
    local listed = score > 0 and first_since(list, length, (score - PATIENCE_US) / 1000) - marks or 0
    most = redis.call('ZRANK', PLACED .. lane, id) + math.max(0, listed)
    least = most
  else
    local enqueued = enqueued_ms(body)
    local placed = redis.call('ZCOUNT', PLACED .. lane, '-inf', int(enqueued * 1000 + PATIENCE_US))
    local from = first_since(list, length, enqueued)
    local place = place_behind(list, length, id, from)
    -- Where it is not found, the clock was set back, or it has just left.
    least = placed + math.max(0, (place or from) - marks)
    most = placed + math.max(0, (place or length) - marks)
  end
  return math.max(0, least - gone), most
end
-- Of a job that is parked for its kind: those of its flow and class that are parked for that kind.
local function ahead_of_kind(id, kind, body, class, flow)
  local member = unknown_member(id, body, class, flow)
  local n = redis.call('ZLEXCOUNT', UNKNOWN_JOBS .. kind, '[' .. class .. ':' .. flow .. '\0', '(' .. member)
  return n, n
end
