-- Purpose: a part of a lane's list, behind the job that a cursor names, whether that is still
--       there or not. The work does not grow with how far behind that is: the list is in the
--       order in which its jobs were enqueued, so the place is found by halving.
-- KEYS: 1 control, 2 none
-- ARGV: 1 lane, 2 id of the job ('' for the beginning), 3 when it was enqueued (ms), 4 the place
--       that it had in the list, 5 bound on ids (at most 640)
-- Returns: {the place of the first id, when the last was enqueued (ms; 0 for unknown), 1 when more
--       follow, then for each its id, and 1 where it has left the lane, or else 0}.
local lane, behind, ms, hint, bound = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not ms or not hint or not bound or bound < 1 or bound > 640 then
  return redis.error_reply('ARGS page_lane: ' .. ARGV[5] .. ' ids from ' .. ARGV[3] .. ', ' .. ARGV[4])
end
local list = LANE .. lane
local length = redis.call('LLEN', list)
local function enqueued(id)
  local body = fields_of(JOB .. id, 'job')[1]
  return body and tonumber(string.match(body, '^%d+'))
end
-- When the job at a place was enqueued. Some may be forgotten: then it is one behind that.
local function enqueued_at(place)
  for i = place, math.min(place + 15, length - 1) do
    local at = enqueued(redis.call('LINDEX', list, int(i)))
    if at then return at end
  end
end
-- Looks for the job among 128 from a place on, up to another. Whoever came again under its id
-- stands in the list once more behind that.
local function place_of(first, upto)
  local ids = redis.call('LRANGE', list, int(first), int(math.min(first + 127, upto)))
  for i = #ids, 1, -1 do
    if ids[i] == behind then return first + i - 1 end
  end
end
local from = 0
if behind ~= '' then
  -- What was claimed moved the others to the front, and a mark moves them on by one.
  hint = math.min(hint, length)
  local place = place_of(math.max(0, hint - 126), hint + 1)
  if not place then
    local last = length
    for _ = 1, 48 do
      if from >= last then break end
      local middle = math.floor((from + last) / 2)
      local at = enqueued_at(middle)
      if at and at < ms then from = middle + 1 else last = middle end
    end
    -- Several were enqueued in that ms. If it was claimed, so were all in front of it.
    for i = 0, 7 do
      place = place or place_of(from + i * 128, length)
    end
  end
  if place then from = place + 1 end
end
if from == 0 and redis.call('LINDEX', list, '0') == MARK then from = 1 end
local reply, some_gone, count = {from, 0, 0}, redis.call('EXISTS', GONE .. lane) == 1, 0
for part = 0, math.ceil(bound / 128) - 1 do
  local ids = redis.call('LRANGE', list, int(from + part * 128), int(from + math.min(bound, part * 128 + 128) - 1))
  if #ids == 0 then break end
  local gone = some_gone and redis.call('HMGET', GONE .. lane, unpack(ids)) or NONE
  for i, id in ipairs(ids) do
    reply[#reply + 1] = id
    reply[#reply + 1] = gone[i] and 1 or 0
  end
  count = count + #ids
end
if count > 0 then reply[2] = enqueued_at(from + count - 1) or 0 end
if from + count < length then reply[3] = 1 end
return reply
