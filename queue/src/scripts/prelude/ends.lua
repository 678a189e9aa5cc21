-- Part of what the scripts share: jobs that end, are parked or are taken out.

-- Ends a job as dead. Dead jobs are grouped by class, kind and normalised
-- message; the group is known by the first 16 digits of their SHA-1.
local function bury(id, key, text, kind, class, normal, said)
  local fingerprint = string.sub(redis.sha1hex(class .. '\n' .. kind .. '\n' .. normal), 1, 16)
  become(key, 'dead', text)
  redis.call('HSET', key, 'group', fingerprint)
  redis.call('ZADD', DEAD, at, id)
  redis.call('ZADD', MEMBERS .. fingerprint, at, id)
  redis.call('ZADD', GROUPS, at, fingerprint)
  local group = GROUP .. fingerprint
  if redis.call('HSETNX', group, 'first', at) == 1 then
    redis.call('HSET', group, 'class', class, 'kind', kind, 'normal', normal)
  end
  redis.call('HSET', group, 'last', at, 'sample', id, 'said', said)
  redis.call('HINCRBY', group, 'count', 1)
end
local function leave_group(id, key)
  local fingerprint = redis.call('HGET', key, 'group')
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

-- A lane that had been let in by a limit key and does not use the room leaves it
-- to the next, and so does one whose jobs are gone with what was kept for it. True when
-- one is let in.
local function pass_on(flow, but)
  local woken = false
  for _, key in ipairs(keys_of(flow)) do
    if key ~= but and limit_of(key) and release_lanes(key) then woken = true end
  end
  return woken
end
-- Jobs that are parked for a kind (the need `kind K@V`) wait for a claim of a worker that runs
-- it. The claim has to find them by class, then by flow, as it finds what is ready: so each
-- kind and version has an index of its own, `unknown:K@V`, of members `class:flow NUL place NUL
-- id`. `unknown` lists the kinds that have one.
local function kind_of_need(need) return string.match(need, '^kind (.+)$') end
-- The member of a job. Its place within the flow is when it should run (ms); of one ms, ids
-- decide.
local function unknown_member(id, body, class, flow)
  local _, _, _, deadline = header(body)
  local by = string.match(deadline, '^%d+')
  by = by and tonumber(by) or tonumber(string.match(body, '^%d+') or '0') + PATIENCE_US / 1000
  return class .. ':' .. flow .. '\0' .. string.format('%014.0f', by) .. '\0' .. id
end
-- A time (µs) behind those of all kinds that wait, also while the clock was set back.
local function behind_all_kinds()
  return math.max(us, tonumber(redis.call('ZRANGE', UNKNOWN, '-1', '-1', 'WITHSCORES')[2] or '0') + 1)
end
local function add_unknown(kind, member)
  redis.call('ZADD', UNKNOWN_JOBS .. kind, '0', member)
  if not redis.call('ZSCORE', UNKNOWN, kind) then
    redis.call('ZADD', UNKNOWN, behind_all_kinds(), kind)
    redis.call('HSET', CONTROL, 'unknown', '1')
    some_unknown = true
  end
end
local function remove_unknown(kind, member)
  redis.call('ZREM', UNKNOWN_JOBS .. kind, member)
  if redis.call('EXISTS', UNKNOWN_JOBS .. kind) == 1 then return end
  redis.call('ZREM', UNKNOWN, kind)
  for class = 0, 3 do redis.call('HDEL', UNKNOWN_TURNS, int(class) .. ':' .. kind) end
  if redis.call('EXISTS', UNKNOWN) == 0 then
    redis.call('HDEL', CONTROL, 'unknown')
    some_unknown = false
  end
end
-- Takes a parked job out of the indexes of what it is parked for.
local function leave_need(id, key, body, flow, class)
  redis.call('ZREM', PARKED, id)
  local need = redis.call('HGET', key, 'need')
  if need and redis.call('ZREM', NEED .. need, id) == 1 and redis.call('HINCRBY', NEEDS, need, -1) <= 0 then
    redis.call('HDEL', NEEDS, need)
  end
  local kind = need and kind_of_need(need)
  if kind then remove_unknown(kind, unknown_member(id, body, class, flow)) end
  redis.call('HDEL', key, 'need', 'why')
end

-- Takes a job that waits or is dead out of the index of its state. True when
-- other jobs may run in its place.
local function take_out(id, key, state, body, flow, class)
  local woken = false
  if state == 'ready' then
    local lane = class .. ':' .. flow
    leave_lane(id, lane)
    local left = redis.call('HINCRBY', CONTROL, 'ready:' .. class, -1)
    if limited and redis.call('EXISTS', LANE .. lane) == 0 then
      local held = redis.call('HGET', HELD, lane)
      redis.call('HDEL', PASSED, lane)
      if held then
        redis.call('ZREM', BLOCKED .. held, lane)
        redis.call('HDEL', HELD, lane)
        count_held(class, flow, held, -1)
        redis.call('ZREM', LANES .. class, flow)
      end
      -- Not at its next turn: that may never come, in a class without jobs.
      woken = pass_on(flow, held)
    end
    if left <= 0 then redis.call('UNLINK', RING .. class, LANES .. class, FLOWS .. class) end
  elseif state == 'scheduled' then
    redis.call('ZREM', SCHEDULED, id)
  elseif state == 'parked' then
    leave_need(id, key, body, flow, class)
  elseif state == 'dead' then
    redis.call('ZREM', DEAD, id)
    leave_group(id, key)
  end
  return woken
end
-- Parks a job until its need is met. True when sleeping workers may run it at once: it is
-- parked for a kind, and another worker may know that.
local function park(id, key, body, text, need, why)
  become(key, 'parked', text)
  redis.call('HSET', key, 'need', need, 'why', why)
  redis.call('ZADD', PARKED, at, id)
  -- Behind those that wait already, also where the clock of another node, which was the master
  -- before, was ahead: whoever lets these go does not wait for it.
  local last = tonumber(redis.call('ZRANGE', NEED .. need, '-1', '-1', 'WITHSCORES')[2] or '0')
  redis.call('ZADD', NEED .. need, last > now and int(last + 1) or at, id)
  redis.call('HINCRBY', NEEDS, need, 1)
  local kind = kind_of_need(need)
  if not kind then return false end
  local _, flow, class = header(body)
  add_unknown(kind, unknown_member(id, body, class, flow))
  return true
end
-- A job that waits again is watched for its deadline again.
local function watch_deadline(id, deadline)
  local by, policy = string.match(deadline, '^(%d+)(.)')
  if policy == 'e' then redis.call('ZADD', EXPIRING, by, id) end
end
-- Ends a job whose deadline has passed; the caller takes it out of its index.
local function expire(id, key, text, kind, deadline)
  local said = 'the deadline passed before the job could run'
  append_history(key, cjson.encode({at = now, attempt = 0, class = 'expired', message = said .. ': ' .. deadline}), HISTORY_BYTES)
  redis.call('HINCRBY', key, 'failed:expired', 1)
  bury(id, key, text, kind, 'expired', said, said)
  move('expired', id)
end
-- Forgets a finished job whole. Returns the bytes that were read for it.
local function forget(id, key)
  local body = redis.call('HGET', key, 'job')
  if body then
    -- Only the meta line is read; the arguments behind it may be anything.
    local line = string.match(body, '^[^\n]*\n([^\n]*)')
    -- A damaged job is forgotten like any other.
    local ok, meta = pcall(cjson.decode, line or '')
    if ok and type(meta) == 'table' and type(meta[1]) == 'string' then redis.call('ZREM', SUBJECTS, meta[1] .. '\0' .. id) end
  end
  -- Its id may come again, with a deadline of its own or none.
  redis.call('ZREM', EXPIRING, id)
  leave_group(id, key)
  redis.call('DEL', key)
  return body and #body or 0
end
