-- Purpose: read a part of a lane's list, behind the job that a cursor names, whether the job is
--       still there or not. The work does not grow with the position: the list is in the order
--       in which its jobs were enqueued, so halving finds the position.
-- KEYS: 1 control, 2 none
-- ARGV: 1 lane, 2 id of the job ('' for the beginning), 3 when it was enqueued (ms), 4 the
--       position that it had in the list, 5 bound on ids (at most 640)
-- Returns: {the position of the first id, when the last was enqueued (ms; 0 for unknown), 1 when more
--       follow, then for each its id, and 1 where it has left the lane, or else 0}.
-- include: open, int, lane, place_in_lane
local cx = open()
if cx.err then return cx end
local lane, behind, ms, hint, bound = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not ms or not hint or not bound or bound < 1 or bound > MAX_LANE_PAGE then
  return redis.error_reply('ARGS page_lane: ' .. ARGV[5] .. ' ids from ' .. ARGV[3] .. ', ' .. ARGV[4])
end
local list = LANE .. lane
local length = redis.call('LLEN', list)
local from = 0
if behind ~= '' then
  -- Claims moved the other jobs to the front, and a mark moves them back by one.
  hint = math.min(hint, length)
  local place = place_among(list, behind, math.max(0, hint - MAX_BATCH + 2), hint + 1)
  if not place then
    from = first_since(list, length, ms)
    -- If it was claimed, so were all in front of it.
    place = place_behind(list, length, behind, from)
  end
  if place then from = place + 1 end
end
if from == 0 and is_marked(lane) then from = 1 end
local reply, some_gone, count = {from, 0, 0}, redis.call('EXISTS', GONE .. lane) == 1, 0
for part = 0, math.ceil(bound / MAX_BATCH) - 1 do
  local ids = redis.call('LRANGE', list, int(from + part * MAX_BATCH), int(from + math.min(bound, (part + 1) * MAX_BATCH) - 1))
  if #ids == 0 then break end
  local gone = some_gone and redis.call('HMGET', GONE .. lane, unpack(ids)) or {}
  for i, id in ipairs(ids) do
    reply[#reply + 1] = id
    reply[#reply + 1] = gone[i] and 1 or 0
  end
  count = count + #ids
end
if count > 0 then reply[2] = enqueued_at(list, length, from + count - 1) or 0 end
if from + count < length then reply[3] = 1 end
return reply
