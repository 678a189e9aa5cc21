-- Part of what the scripts share: the order of the jobs in a lane.

-- A lane is a list: ids in the order in which they were enqueued. Jobs with a place of
-- their own (a deadline, or ready again) are in `placed`, by when they should run. Who
-- leaves other than by being claimed stays in the list, so that nobody has to search it,
-- and is counted in `gone`: by id, and all of them. Where a lane has either, its list
-- begins with a mark: whoever sees none need not look for them. A lane without a job has
-- none of the three.
local MARK, ALL = '*', 'all'
-- True where there was no lane.
local function mark(lane)
  if redis.call('LINDEX', LANE .. lane, '0') == MARK then return false end
  return redis.call('LPUSH', LANE .. lane, MARK) == 1
end
-- Jobs of a lane.
local function waiting_in(lane)
  local n = redis.call('LLEN', LANE .. lane)
  if redis.call('LINDEX', LANE .. lane, '0') ~= MARK then return n end
  return n - 1 - tonumber(redis.call('HGET', GONE .. lane, ALL) or '0') + redis.call('ZCARD', PLACED .. lane)
end
-- To be called for a lane with a mark, from which something was taken.
local function tidy(lane)
  if redis.call('EXISTS', PLACED .. lane) == 1 then return end
  local gone = tonumber(redis.call('HGET', GONE .. lane, ALL) or '0')
  if redis.call('LLEN', LANE .. lane) - 1 <= gone then
    redis.call('UNLINK', LANE .. lane, GONE .. lane)
  elseif gone == 0 then
    redis.call('LPOP', LANE .. lane)
  end
end
-- A job leaves its lane without being claimed.
local function leave_lane(id, lane)
  if redis.call('ZREM', PLACED .. lane, id) == 0 then
    mark(lane)
    redis.call('HINCRBY', GONE .. lane, id, 1)
    redis.call('HINCRBY', GONE .. lane, ALL, 1)
  end
  tidy(lane)
end
-- Drops those of some ids off the front of a list that are gone. Returns the others.
local function drop_gone(lane, ids)
  if #ids == 0 or redis.call('EXISTS', GONE .. lane) == 0 then return ids end
  local counts, here, dropped = redis.call('HMGET', GONE .. lane, unpack(ids)), {}, 0
  for i, id in ipairs(ids) do
    -- One that is there twice is gone from the place in front.
    if counts[i] and tonumber(redis.call('HGET', GONE .. lane, id) or '0') > 0 then
      if redis.call('HINCRBY', GONE .. lane, id, -1) == 0 then redis.call('HDEL', GONE .. lane, id) end
      dropped = dropped + 1
    else
      here[#here + 1] = id
    end
  end
  if dropped > 0 and redis.call('HINCRBY', GONE .. lane, ALL, -dropped) <= 0 then redis.call('DEL', GONE .. lane) end
  return here
end
-- When a job in the list should have run (µs), as `run_by` says of others.
local function listed_run_by(id)
  local enqueued_at = string.match(redis.call('HGET', JOB .. id, 'job') or '', '^%d+')
  return tonumber(enqueued_at or '0') * 1000 + PATIENCE_US
end
-- Puts ids that were taken from a lane back, from the place `from` on; `scores` has those
-- that had a place of their own.
local function put_back(lane, ids, scores, from)
  local listed, placed = {}, {}
  for i = #ids, from, -1 do
    if scores[i] then
      placed[#placed + 1] = scores[i]
      placed[#placed + 1] = ids[i]
    else
      listed[#listed + 1] = ids[i]
    end
  end
  local marked = redis.call('LINDEX', LANE .. lane, '0') == MARK
  if #listed > 0 then
    if marked then redis.call('LPOP', LANE .. lane) end
    redis.call('LPUSH', LANE .. lane, unpack(listed))
  end
  if #placed > 0 then redis.call('ZADD', PLACED .. lane, unpack(placed)) end
  if marked or #placed > 0 then mark(lane) end
end
local NONE = {}
-- Takes the n jobs of a lane that come first, or fewer where too many of the list are
-- gone. Returns their ids, and the scores of those that had a place of their own.
local function take_first(lane, n)
  local listed = redis.call('LPOP', LANE .. lane, int(n))
  if not listed then return NONE, NONE end
  if listed[1] ~= MARK then return listed, NONE end
  table.remove(listed, 1)
  -- One more instead of the mark; where some are gone these may be many, and cost little.
  local some_gone = redis.call('EXISTS', GONE .. lane) == 1
  for _, id in ipairs(redis.call('LPOP', LANE .. lane, some_gone and '128' or '1') or NONE) do listed[#listed + 1] = id end
  if some_gone then listed = drop_gone(lane, listed) end
  local goes_on = redis.call('EXISTS', LANE .. lane) == 1
  local placed = redis.call('ZRANGE', PLACED .. lane, '0', int(n - 1), 'WITHSCORES')
  local ids, scores, i, p = {}, {}, 1, 1
  local run_by_here = nil
  for place = 1, n do
    local score = tonumber(placed[p + 1])
    if score and listed[i] and score > 0 then run_by_here = run_by_here or listed_run_by(listed[i]) end
    -- Behind those that were read nobody knows who comes first, but for who goes before all.
    if score and score <= (run_by_here or not listed[i] and not goes_on and math.huge or 0) then
      ids[place], scores[place] = placed[p], placed[p + 1]
      p = p + 2
    elseif listed[i] then
      ids[place], run_by_here = listed[i], nil
      i = i + 1
    else
      break
    end
  end
  if p > 1 then redis.call('ZREMRANGEBYRANK', PLACED .. lane, '0', int((p - 3) / 2)) end
  put_back(lane, listed, NONE, i)
  if redis.call('EXISTS', PLACED .. lane, GONE .. lane) > 0 then
    mark(lane)
    tidy(lane)
  end
  return ids, scores
end
