-- Takes jobs off the front of a lane, and puts them back.
-- include: int, job, state, lane, lane_gone, merge

-- Puts ids that were taken from a lane back, beginning with the one at `from`. `scores` has
-- those of the placed jobs.
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
  local marked = is_marked(lane)
  if #listed > 0 then
    if marked then redis.call('LPOP', LANE .. lane) end
    redis.call('LPUSH', LANE .. lane, unpack(listed))
  end
  if #placed > 0 then redis.call('ZADD', PLACED .. lane, unpack(placed)) end
  if marked or #placed > 0 then mark(lane) end
end
-- Takes the ids at the given counts of `gone` off it: those among the first `taken` that are
-- not in `positions`.
local function forget_gone(lane, ids, taken, positions, counts, dropped)
  if redis.call('HINCRBY', GONE .. lane, ALL, -dropped) <= 0 then return redis.call('DEL', GONE .. lane) end
  local over, next_here = {}, 1
  for i = 1, taken do
    if positions[next_here] == i then
      next_here = next_here + 1
    elseif counts[i] == '1' then
      over[#over + 1] = ids[i]
    elseif redis.call('HINCRBY', GONE .. lane, ids[i], -1) <= 0 then
      redis.call('HDEL', GONE .. lane, ids[i])
    end
  end
  if #over > 0 then redis.call('HDEL', GONE .. lane, unpack(over)) end
end
-- Takes the first n jobs of a lane, or fewer where many of its list are gone. Returns their
-- ids, the scores of the placed ones, and how many gone ones were dropped.
local function take_first(cx, lane, n)
  local popped = redis.call('LPOP', LANE .. lane, int(n))
  if not popped then return {}, {}, 0 end
  if popped[1] ~= MARK then return popped, {}, 0 end
  table.remove(popped, 1)
  -- One more instead of the mark; or many instead of those that are gone, which leave only
  -- together with all before them.
  local some_gone = redis.call('EXISTS', GONE .. lane) == 1
  local listed, n_popped = popped, #popped
  local more = redis.call('LRANGE', LANE .. lane, '0', some_gone and MAX_BATCH - 1 or 0)
  for i, id in ipairs(more) do listed[n_popped + i] = id end
  local goes_on = redis.call('LLEN', LANE .. lane) > #more
  local here, positions, counts = still_in(lane, listed)
  local placed = redis.call('ZRANGE', PLACED .. lane, '0', int(n - 1), 'WITHSCORES')
  local ids, scores, n_listed, n_placed = merge(here, placed, n, goes_on, function(id)
    local body = fields_of(JOB .. id, 'job')[1] or ''
    cx.read = cx.read + #body
    return enqueued_ms(body) * 1000 + PATIENCE_US
  end, function() return cx.read >= CALL_BYTES end)
  if n_placed > 0 then redis.call('ZREMRANGEBYRANK', PLACED .. lane, '0', int(n_placed - 1)) end
  -- Up to the next one that stays.
  local taken, dropped = n_listed, 0
  if positions then
    taken = (positions[n_listed + 1] or #listed + 1) - 1
    dropped = taken - n_listed
  end
  if taken > n_popped then
    redis.call('LPOP', LANE .. lane, int(taken - n_popped))
  elseif taken < n_popped then
    for i = n_popped + 1, #listed do listed[i] = nil end
    put_back(lane, listed, {}, taken + 1)
  end
  if dropped > 0 then forget_gone(lane, listed, taken, positions, counts, dropped) end
  if redis.call('EXISTS', PLACED .. lane, GONE .. lane) > 0 then
    mark(lane)
    tidy(lane)
  end
  return ids, scores, dropped
end
