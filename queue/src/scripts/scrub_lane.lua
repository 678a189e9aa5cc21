-- Purpose: look whether the jobs in a part of a lane's list are ready for the first time; a job
--       that is not leaves the lane. Expected to find nothing.
-- KEYS: 1 control, 2 none
-- ARGV: 1 lane, 2 how many ids at the end of its list were looked at before, 3 how many
--       had been taken off the ends of lists when the last of them were read
-- Returns: {ids of jobs that are elsewhere as well, ids without a job, the ids that were
--       read (at most 128), how many were looked at by now, and how many had been taken
--       off the ends of lists}.
-- include: open, int, job, lane, lane_gone
local cx = open()
if cx.err then return cx end
local lane = ARGV[1]
-- Jobs that were taken off since then may have been among the seen ones.
local popped = tonumber(redis.call('HGET', CONTROL, 'popped') or '0')
local seen = math.max(0, ARGV[2] - popped + ARGV[3])
-- From the end, so that claims do not move the ids that are left to read.
local ids = redis.call('LRANGE', LANE .. lane, int(-seen - MAX_BATCH), int(-seen - 1))
if ids[1] == MARK then table.remove(ids, 1) end
local doubled, ghosts, here = 0, 0, {}
for _, id in ipairs(ids) do
  local is_job, text = redis.call('HEXISTS', JOB .. id, 'job') == 1, redis.call('HGET', JOB .. id, 'state')
  here[id] = (here[id] or 0) + 1
  if (not is_job or text) and here[id] > tonumber(redis.call('HGET', GONE .. lane, id) or '0') then
    if is_job then doubled = doubled + 1 else ghosts = ghosts + 1 end
    leave_list(id, lane)
    -- A ready job is counted where it is placed.
    if not is_job or state_of(text) ~= 'ready' then
      redis.call('HINCRBY', CONTROL, 'ready:' .. string.sub(lane, 1, 1), -1)
    end
  end
end
if doubled + ghosts > 0 then redis.call('HINCRBY', STATS, 'mended', doubled + ghosts) end
return {doubled, ghosts, ids, seen + #ids, popped}
