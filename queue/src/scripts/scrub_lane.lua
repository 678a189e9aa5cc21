-- Purpose: look whether the jobs that a part of a lane's list has are ready, and for the
--       first time; who is not leaves the lane. Expected to find nothing.
-- KEYS: 1 control
-- ARGV: 1 lane, 2 how many ids at the end of its list were looked at before
-- Returns: {ids of jobs that are elsewhere as well, ids without a job, the ids that were
--       read (at most 128)}.
local lane, seen = ARGV[1], tonumber(ARGV[2])
-- From the end: what is claimed meanwhile does not move those that are still to be read.
local ids = redis.call('LRANGE', LANE .. lane, int(-seen - 128), int(-seen - 1))
if ids[1] == MARK then table.remove(ids, 1) end
local doubled, ghosts = 0, 0
for _, id in ipairs(ids) do
  local job = redis.call('HMGET', JOB .. id, 'job', 'state')
  if (not job[1] or job[2]) and not redis.call('HGET', GONE .. lane, id) then
    if job[1] then doubled = doubled + 1 else ghosts = ghosts + 1 end
    leave_lane(id, lane)
    redis.call('HINCRBY', CONTROL, 'ready:' .. string.sub(lane, 1, 1), -1)
  end
end
if doubled + ghosts > 0 then redis.call('HINCRBY', STATS, 'mended', doubled + ghosts) end
return {doubled, ghosts, ids}
