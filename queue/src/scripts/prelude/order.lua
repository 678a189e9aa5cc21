-- Part of what the scripts share: the order of the jobs in a lane.

-- A lane is a list: ids in the order in which they were enqueued. Jobs with a place of
-- their own (a deadline, or ready again) are in `placed`, by when they should run. Who
-- leaves other than by being claimed, and is not the last, stays in the list, so that
-- nobody has to search it, and is counted in `gone`: by id, and all of them. Where a lane
-- has either, its list begins with a mark: whoever sees none need not look for them. A lane
-- without a job has none of the three.
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
-- Of ids off the front of a list those that are still in the lane, the place of each, and
-- how often each of all is gone. One that is there more often than that is gone from the
-- places in front.
local function still_in(lane, ids)
  if #ids == 0 or redis.call('EXISTS', GONE .. lane) == 0 then return ids, nil, nil end
  local counts, seen, here, places = redis.call('HMGET', GONE .. lane, unpack(ids)), {}, {}, {}
  for i, id in ipairs(ids) do
    if tonumber(counts[i] or '0') > (seen[id] or 0) then
      seen[id] = (seen[id] or 0) + 1
    else
      here[#here + 1] = id
      places[#here] = i
    end
  end
  return here, places, counts
end
-- To be called for a lane with a mark, from which something was taken.
local function tidy(lane)
  if redis.call('EXISTS', PLACED .. lane) == 1 then return end
  local gone = tonumber(redis.call('HGET', GONE .. lane, ALL) or '0')
  local n = redis.call('LLEN', LANE .. lane) - 1
  if n <= gone then
    -- Not by a wrong count, where that is little work.
    if n <= 128 and #still_in(lane, redis.call('LRANGE', LANE .. lane, '1', '128')) > 0 then return end
    redis.call('UNLINK', LANE .. lane, GONE .. lane)
  elseif gone == 0 then
    redis.call('LPOP', LANE .. lane)
  end
end
-- A job leaves the list of its lane without being claimed.
local function leave_list(id, lane)
  if redis.call('LINDEX', LANE .. lane, '-1') == id then
    redis.call('RPOP', LANE .. lane)
    -- Whoever reads the list from its end has to know.
    redis.call('HINCRBY', CONTROL, 'popped', 1)
    if redis.call('LINDEX', LANE .. lane, '0') ~= MARK then return end
  else
    mark(lane)
    redis.call('HINCRBY', GONE .. lane, id, 1)
    redis.call('HINCRBY', GONE .. lane, ALL, 1)
  end
  tidy(lane)
end
local function leave_lane(id, lane)
  if redis.call('ZREM', PLACED .. lane, id) == 0 then return leave_list(id, lane) end
  tidy(lane)
end
-- When a job in the list should have run (µs), as `run_by` says of others. What was read
-- for it counts: a body may be large.
local compared = 0
local function listed_run_by(id)
  local body = fields_of(JOB .. id, 'job')[1] or ''
  compared = compared + #body
  return tonumber(string.match(body, '^%d+') or '0') * 1000 + PATIENCE_US
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
-- Of ids in the list and of jobs with a place of their own the n that come first, or fewer
-- where more would have to be read. Returns them, their scores, and how many were taken of
-- either.
local function merge(listed, placed, n, goes_on)
  local ids, scores, i, p = {}, {}, 1, 1
  -- Of the list this many are known to come before the next with a place of its own; and
  -- of which such one the last that may be taken was compared.
  local before, looked_for = 0, 0
  for place = 1, n do
    if place > 1 and compared >= CALL_BYTES then break end
    local score, takes_placed = tonumber(placed[p + 1]), false
    if score and score <= 0 then
      takes_placed = true
    elseif score and not listed[i] then
      -- Behind those that were read nobody knows who comes first.
      takes_placed = not goes_on
    elseif score and i > before then
      local last = math.min(#listed, i + n - place)
      if looked_for < p and last > i then
        looked_for = p
        if listed_run_by(listed[last]) < score then before = last end
      end
      if i > before then
        takes_placed = score <= listed_run_by(listed[i])
        if not takes_placed then before = i end
      end
    end
    if takes_placed then
      ids[place], scores[place] = placed[p], placed[p + 1]
      p = p + 2
    elseif listed[i] then
      ids[place] = listed[i]
      i = i + 1
    else
      break
    end
  end
  return ids, scores, i - 1, (p - 1) / 2
end
-- Takes the n jobs of a lane that come first, or fewer where many of its list are gone.
-- Returns their ids, the scores of those that had a place of their own, and how many that
-- are gone were dropped.
local function take_first(lane, n)
  local popped = redis.call('LPOP', LANE .. lane, int(n))
  if not popped then return NONE, NONE, 0 end
  if popped[1] ~= MARK then return popped, NONE, 0 end
  table.remove(popped, 1)
  -- One more instead of the mark, or many instead of those that are gone: these leave only
  -- with all before them.
  local some_gone = redis.call('EXISTS', GONE .. lane) == 1
  local listed, n_popped = popped, #popped
  local more = redis.call('LRANGE', LANE .. lane, '0', some_gone and '127' or '0')
  for i, id in ipairs(more) do listed[n_popped + i] = id end
  local goes_on = redis.call('LLEN', LANE .. lane) > #more
  local here, places, counts = still_in(lane, listed)
  local placed = redis.call('ZRANGE', PLACED .. lane, '0', int(n - 1), 'WITHSCORES')
  local ids, scores, n_listed, n_placed = merge(here, placed, n, goes_on)
  if n_placed > 0 then redis.call('ZREMRANGEBYRANK', PLACED .. lane, '0', int(n_placed - 1)) end
  -- Up to the next one that stays.
  local taken, dropped = n_listed, 0
  if places then
    taken = (places[n_listed + 1] or #listed + 1) - 1
    dropped = taken - n_listed
  end
  if taken > n_popped then
    redis.call('LPOP', LANE .. lane, int(taken - n_popped))
  elseif taken < n_popped then
    for i = n_popped + 1, #listed do listed[i] = nil end
    put_back(lane, listed, NONE, taken + 1)
  end
  if dropped > 0 then
    if redis.call('HINCRBY', GONE .. lane, ALL, -dropped) <= 0 then
      redis.call('DEL', GONE .. lane)
    else
      local over, next_place = {}, 1
      for i = 1, taken do
        if places[next_place] == i then
          next_place = next_place + 1
        elseif counts[i] == '1' then
          over[#over + 1] = listed[i]
        elseif redis.call('HINCRBY', GONE .. lane, listed[i], -1) <= 0 then
          redis.call('HDEL', GONE .. lane, listed[i])
        end
      end
      if #over > 0 then redis.call('HDEL', GONE .. lane, unpack(over)) end
    end
  end
  if redis.call('EXISTS', PLACED .. lane, GONE .. lane) > 0 then
    mark(lane)
    tidy(lane)
  end
  return ids, scores, dropped
end
