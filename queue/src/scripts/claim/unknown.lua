-- Part of a claim: jobs that a worker without their kind parked. A worker that runs the kind
-- leases them from where they wait: they never become ready for one that does not. Within a
-- class they come before what is ready; while jobs of the class are ready they get half of a
-- claim, by jobs and by bytes, and on the average every second one of a single job, so that
-- neither starves the other. Kinds take turns by when they were visited, and flows of a kind by
-- name. What a lane was charged when its jobs were parked is not
-- charged again.

-- The kinds that the worker runs and that have such jobs; when a limit that holds some has a
-- token; whether others may be next that there was no time for.
local unknown = {kinds = {}, next_token = nil, cut = false}
do -- A function has 200 names of its own at most.

-- Kinds and flows that one claim visits at most, each flow that a limit holds included.
local KINDS_AT_MOST, flows_left = 32, 64
-- How soon (ms) a claim comes back that could not visit all of them and leased nothing.
local AGAIN_MS = 100
-- What parked jobs may use of CALL_BYTES now.
local bytes_at_most = CALL_BYTES
local function come_back() unknown.next_token = math.min(unknown.next_token or math.huge, now + AGAIN_MS) end

-- Reads the kinds, those first that were visited longest ago.
function unknown.read_kinds()
  local turns = {}
  if runs then
    for of in pairs(runs) do
      local version, kind = string.match(of, '^(%d+)|(.*)$')
      local name = kind .. '@' .. version
      local turn = redis.call('ZSCORE', UNKNOWN, name)
      if turn then turns[#turns + 1] = {name = name, turn = tonumber(turn)} end
    end
    table.sort(turns, function(one, other)
      if one.turn ~= other.turn then return one.turn < other.turn end
      return one.name < other.name
    end)
  else
    for i, name in ipairs(redis.call('ZRANGE', UNKNOWN, '0', int(KINDS_AT_MOST))) do turns[i] = {name = name} end
  end
  if #turns > KINDS_AT_MOST then come_back() end
  for i = 1, math.min(#turns, KINDS_AT_MOST) do
    local name = turns[i].name
    if kinds_paused and is_paused(string.match(name, '^(.*)@')) then
      -- It makes room for kinds that run.
      redis.call('ZADD', UNKNOWN, behind_all_kinds(), name)
    else
      unknown.kinds[#unknown.kinds + 1] = name
    end
  end
end
-- Whether one of them has jobs of a class.
function unknown.has(class)
  for _, kind in ipairs(unknown.kinds) do
    local first = redis.call('ZRANGE', UNKNOWN_JOBS .. kind, '[' .. class .. ':', '(' .. class .. ';', 'BYLEX', 'LIMIT', '0', '1')
    if first[1] then return true end
  end
  return false
end

-- Leases a parked job. False when it does not run: its deadline passed, or its entry is wrong.
local function lease_known(kind, member)
  local id = string.match(member, '%z([^%z]*)$')
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state', 'need')
  if not job[1] or state_of(job[2]) ~= 'parked' or job[3] ~= 'kind ' .. kind then
    remove_unknown(kind, member)
    return false
  end
  compared = compared + #job[1]
  local kind_of, flow, class, deadline = header(job[1])
  leave_need(id, key, job[1], flow, class)
  local by, policy = string.match(deadline, '^(%d+)(.)')
  if overdue and policy == 'e' and tonumber(by) <= now then
    expire(id, key, job[2], kind_of, by)
    redis.call('ZREM', EXPIRING, id)
    return false
  end
  -- A worker may have parked it for another kind than its own.
  if runs and is_unknown(id, key, job[1], 'parked') then return false end
  return lease_again(id, key, 'parked')
end

-- Leases up to n jobs of one flow. Returns how many, and whether it had any that was looked at.
local function take_of_flow(kind, class, lane, n)
  local limits, part = limited_flow(string.sub(lane, 3)).limits, n
  for _, limit in ipairs(limits) do
    -- A place that is kept for a lane is not for these.
    local room = room_for(limit, class, '')
    if room < 1 then
      local at_token = next_token_of(limit)
      if at_token then unknown.next_token = math.min(unknown.next_token or at_token, at_token) end
    end
    part = math.min(part, room)
  end
  if part < 1 then return 0, false end
  local members = redis.call('ZRANGE', UNKNOWN_JOBS .. kind, '[' .. lane .. '\0', '(' .. lane .. '\1', 'BYLEX', 'LIMIT', '0', int(part))
  local started = 0
  for _, member in ipairs(members) do
    if bytes >= bytes_at_most or compared >= bytes_at_most then break end
    if lease_known(kind, member) then started = started + 1 else examined = examined + 1 end
  end
  for _, limit in ipairs(limits) do
    limit.room = limit.room - started
    limit.taken = limit.taken + started
    if limit.concurrency and started > 0 then hold(limit, started) end
  end
  return started, #members > 0
end

-- The first flow of a class behind one, or of all.
local function flow_behind(key, class, lane)
  local from = lane and '(' .. lane .. '\1' or '[' .. class .. ':'
  local first = redis.call('ZRANGE', key, from, '(' .. class .. ';', 'BYLEX', 'LIMIT', '0', '1')[1]
  return first and string.match(first, '^[^%z]*')
end
local function is_full()
  return flows_left <= 0 or examined > 128 or bytes >= bytes_at_most or compared >= bytes_at_most
end

-- Leases up to n jobs of a kind and class: round by round through the flows, from behind the
-- one that was visited last, for as long as one of them yields something.
local function take_of_kind(kind, class, n)
  local key, field = UNKNOWN_JOBS .. kind, class .. ':' .. kind
  local part, got = math.max(quantum, math.ceil(n / 16)), 0
  -- The first of the flows that yielded nothing since one did.
  local lane, barren = redis.call('HGET', UNKNOWN_TURNS, field), nil
  for _ = 1, flows_left do
    if got >= n or is_full() then break end
    local visited = flow_behind(key, class, lane) or flow_behind(key, class, nil)
    if not visited or visited == barren then break end
    local started, looked = take_of_flow(kind, class, visited, math.min(n - got, part))
    got, flows_left, lane = got + started, flows_left - 1, visited
    if looked then barren = nil else barren = barren or visited end
  end
  local some_left = redis.call('EXISTS', key) == 1
  if lane and some_left then
    redis.call('HSET', UNKNOWN_TURNS, field, lane)
    redis.call('ZADD', UNKNOWN, 'XX', behind_all_kinds(), kind)
  end
  if got < n and some_left and is_full() then
    -- Where limits hold all that was visited there is nothing to do at once.
    if flows_left > 0 or n_leased > 0 then unknown.cut = true else come_back() end
  end
  return got
end

-- Leases up to n jobs of a class. Returns how many.
local function take_known(class, n)
  local got = 0
  for _, kind in ipairs(unknown.kinds) do
    if got >= n then break end
    got = got + take_of_kind(kind, class, n - got)
  end
  return got
end

-- Leases up to n jobs of a class that has some. Returns how many, and whether others may be
-- next that it had no lanes or bytes for.
function unknown.serve(class, n)
  if not unknown.kinds[1] then return take(class, n) end
  local has_ready, part = (tonumber(control[class + 1]) or 0) > 0, n
  if has_ready then
    -- By chance, because numbers of claims may go by twos.
    part = math.floor((n + (tonumber(ARGV[11]) < 0.5 and 1 or 0)) / 2)
    bytes_at_most = CALL_BYTES / 2
  end
  local got = take_known(class, part)
  bytes_at_most = CALL_BYTES
  if not has_ready then return got, false end
  local more_got, cut = take(class, n - got)
  got = got + more_got
  if got < n and not cut then got = got + take_known(class, n - got) end
  return got, cut
end

end
