-- Groups of jobs by the cause of their last failure. A cause is class, kind and normalised message; a group
-- is known by the first 16 digits of their SHA-1, the field `group` of its jobs. `members:GROUP` has those that
-- are dead, `retrying:GROUP` those that run again and have not ended since. A group without jobs moves from
-- `groups` to `past_groups`; there it stays for a while, so that a cause that comes back is known.
-- include: fingerprint, int, job, tenant

-- Forgets a group that has no jobs.
local function drop_group(fingerprint)
  redis.call('ZREM', PAST_GROUPS, fingerprint)
  redis.call('UNLINK', GROUP .. fingerprint, GROUP_HOURS .. fingerprint, GROUP_TENANTS .. fingerprint, GROUP_ACTS .. fingerprint)
end
-- Forgets past groups that were kept for long enough, some at a time.
local function drop_past_groups(cx)
  local old = redis.call('ZRANGE', PAST_GROUPS, '-inf', int(cx.now - PAST_GROUP_MS), 'BYSCORE', 'LIMIT', 0, MAX_BATCH)
  for _, fingerprint in ipairs(old) do drop_group(fingerprint) end
end
-- Takes a job out of its group. `erases`: nothing stays that only this job said.
local function leave_cause(cx, id, key, erases)
  local fingerprint = redis.call('HGET', key, 'group')
  if not fingerprint then return end
  redis.call('HDEL', key, 'group')
  if redis.call('ZREM', MEMBERS .. fingerprint, id) == 0 then redis.call('ZREM', RETRYING .. fingerprint, id) end
  local group = GROUP .. fingerprint
  if redis.call('EXISTS', MEMBERS .. fingerprint, RETRYING .. fingerprint) == 0 then
    redis.call('ZREM', GROUPS, fingerprint)
    if erases then
      drop_group(fingerprint)
    elseif redis.call('HDEL', group, 'sample', 'said') > 0 then
      redis.call('ZADD', PAST_GROUPS, cx.at, fingerprint)
    end
  elseif redis.call('HGET', group, 'sample') == id then
    local newest = redis.call('ZRANGE', MEMBERS .. fingerprint, '-1', '-1')[1]
      or redis.call('ZRANGE', RETRYING .. fingerprint, '-1', '-1')[1]
    -- The words of the job go with it: it may be erased later, as one of no group.
    redis.call('HSET', group, 'sample', newest, 'said', redis.call('HGET', group, 'normal') or '')
  end
end
-- Takes a job that is dead no longer out of its group, and one that ended by silence out of the index of its
-- condition.
local function leave_group(cx, id, key, erases)
  local silent = redis.call('HGET', key, 'silent')
  if silent then
    redis.call('ZREM', SILENT .. silent, id)
    redis.call('HDEL', key, 'silent')
  end
  leave_cause(cx, id, key, erases)
end
-- Counts a failure by hour, for the hours that are kept, and by tenant. So many tenants are counted, and
-- the least busy one gives way to another; its failures then count for `other`.
local function count_failure(cx, fingerprint, tenant)
  local hours, hour = GROUP_HOURS .. fingerprint, math.floor(cx.now / HOUR_MS)
  if redis.call('HINCRBY', hours, int(hour), 1) == 1 then
    for _, field in ipairs(redis.call('HKEYS', hours)) do
      local at = tonumber(field)
      -- A time in the future comes from a clock that was set back since.
      if at <= hour - GROUP_HOURS_KEPT or at > hour then redis.call('HDEL', hours, field) end
    end
  end
  local tenants = GROUP_TENANTS .. fingerprint
  if tonumber(redis.call('ZINCRBY', tenants, 1, tenant)) == 1 and redis.call('ZCARD', tenants) > GROUP_TENANTS_KEPT then
    local least = redis.call('ZRANGE', tenants, 0, 1, 'WITHSCORES')
    local p = least[1] == tenant and 3 or 1
    redis.call('ZREM', tenants, least[p])
    redis.call('HINCRBY', GROUP .. fingerprint, 'other', int(tonumber(least[p + 1])))
  end
end
-- Counts a failure of a job and puts it into the group of its cause, among the dead ones or those that run
-- again. Returns the group.
local function join_group(cx, id, key, body, is_dead, kind, class, normal, said)
  local fingerprint = fingerprint_of(class, kind, normal)
  local before, group = redis.call('HGET', key, 'group'), GROUP .. fingerprint
  if before and before ~= fingerprint then leave_cause(cx, id, key) end
  if redis.call('HSETNX', group, 'first', cx.at) == 1 then
    redis.call('HSET', group, 'class', class, 'kind', kind, 'normal', normal)
    if redis.call('ZCARD', GROUPS) + redis.call('ZCARD', PAST_GROUPS) >= MAX_GROUPS then
      local oldest = redis.call('ZRANGE', PAST_GROUPS, 0, 0)[1]
      if oldest then drop_group(oldest) end
    end
  elseif before ~= fingerprint and redis.call('ZREM', PAST_GROUPS, fingerprint) == 1 then
    redis.call('HSET', group, 'again', cx.at)
  end
  if is_dead then
    if before == fingerprint then redis.call('ZREM', RETRYING .. fingerprint, id) end
    redis.call('ZADD', MEMBERS .. fingerprint, cx.at, id)
  else
    redis.call('ZADD', RETRYING .. fingerprint, cx.at, id)
  end
  redis.call('ZADD', GROUPS, cx.at, fingerprint)
  redis.call('HSET', key, 'group', fingerprint)
  redis.call('HSET', group, 'last', cx.at, 'sample', id, 'said', said)
  redis.call('HINCRBY', group, 'count', 1)
  local _, flow = header(body)
  count_failure(cx, fingerprint, tenant_of(flow))
  return fingerprint
end
