-- A lane is a list of ids in the order in which they were enqueued. Jobs with a position of
-- their own (they have a deadline, or are ready again) are in `placed`, by when they should
-- run. A job that leaves from the middle of the list without being claimed stays in it and is
-- counted in `gone`, by id and in total; removing it would mean searching the list. A lane
-- that has one of the two begins with a mark, so a claim of a lane that has neither is one
-- command. A lane without jobs has no list and none of the two.
local MARK = '*'
-- The field of `gone` that has the total.
local ALL = 'all'
local function is_marked(lane) return redis.call('LINDEX', LANE .. lane, '0') == MARK end
-- Marks a lane. True where there was no lane.
local function mark(lane)
  if is_marked(lane) then return false end
  return redis.call('LPUSH', LANE .. lane, MARK) == 1
end
