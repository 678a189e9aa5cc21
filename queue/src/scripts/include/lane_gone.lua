-- Jobs that left the list of their lane without being claimed.
-- include: lane

-- Of ids from the front of a list, those that are still in the lane and their positions among
-- the given ones; and how often each id is gone. An id that is listed more often than it is
-- gone is gone from the earlier positions.
local function still_in(lane, ids)
  if #ids == 0 or redis.call('EXISTS', GONE .. lane) == 0 then return ids, nil, nil end
  local counts, seen, here, positions = redis.call('HMGET', GONE .. lane, unpack(ids)), {}, {}, {}
  for i, id in ipairs(ids) do
    if tonumber(counts[i] or '0') > (seen[id] or 0) then
      seen[id] = (seen[id] or 0) + 1
    else
      here[#here + 1] = id
      positions[#here] = i
    end
  end
  return here, positions, counts
end
-- Removes the mark, or the whole lane, where nothing needs it any more. For a marked lane from
-- which something was taken.
local function tidy(lane)
  if redis.call('EXISTS', PLACED .. lane) == 1 then return end
  local gone = tonumber(redis.call('HGET', GONE .. lane, ALL) or '0')
  local n = redis.call('LLEN', LANE .. lane) - 1
  if n <= gone then
    -- A short list is checked, so that a wrong count removes no job.
    if n <= MAX_BATCH and #still_in(lane, redis.call('LRANGE', LANE .. lane, '1', MAX_BATCH)) > 0 then return end
    redis.call('UNLINK', LANE .. lane, GONE .. lane)
  elseif gone == 0 then
    redis.call('LPOP', LANE .. lane)
  end
end
-- A job leaves the list of its lane without being claimed.
local function leave_list(id, lane)
  if redis.call('LINDEX', LANE .. lane, '-1') == id then
    redis.call('RPOP', LANE .. lane)
    -- The scrubber reads lists from their ends and has to know.
    redis.call('HINCRBY', CONTROL, 'popped', 1)
    if not is_marked(lane) then return end
  else
    mark(lane)
    redis.call('HINCRBY', GONE .. lane, id, 1)
    redis.call('HINCRBY', GONE .. lane, ALL, 1)
  end
  tidy(lane)
end
-- A job leaves its lane without being claimed.
local function leave_lane(id, lane)
  if redis.call('ZREM', PLACED .. lane, id) == 0 then return leave_list(id, lane) end
  tidy(lane)
end
