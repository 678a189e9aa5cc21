-- A job that waits again is watched for its deadline again.
-- include: job
local function watch_deadline(id, deadline)
  local by, policy = parse_deadline(deadline)
  if policy == 'e' then redis.call('ZADD', EXPIRING, by, id) end
end
