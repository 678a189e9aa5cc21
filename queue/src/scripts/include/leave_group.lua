-- Takes a dead job out of its group, and a job that ended by silence out of the index of its condition.
-- A group goes with its last job.
local function leave_group(id, key)
  local known = redis.call('HMGET', key, 'group', 'silent')
  local fingerprint, silent = known[1], known[2]
  if silent then
    redis.call('ZREM', SILENT .. silent, id)
    redis.call('HDEL', key, 'silent')
  end
  if not fingerprint then return end
  redis.call('ZREM', MEMBERS .. fingerprint, id)
  local group = GROUP .. fingerprint
  if redis.call('EXISTS', MEMBERS .. fingerprint) == 0 then
    redis.call('DEL', group)
    redis.call('ZREM', GROUPS, fingerprint)
  elseif redis.call('HGET', group, 'sample') == id then
    redis.call('HSET', group, 'sample', redis.call('ZRANGE', MEMBERS .. fingerprint, '-1', '-1')[1])
  end
end
