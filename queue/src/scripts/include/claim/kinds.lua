-- Leases jobs that a worker without their kind parked. A worker that runs the kind leases them
-- from where they wait: they never become ready for a worker that does not run it. Within a
-- class they come before what is ready. While jobs of the class are ready they get half of a
-- claim, by jobs and by bytes, and on average every second claim of a single job, so that
-- neither starves the other. Kinds take turns by when they were visited, and flows of a kind by
-- name. A lane was charged when its jobs were parked, and is not charged again.
-- include: int, job, state, limits, reservations, expire, leave_need, kinds
-- include: claim/lease, claim/ring, claim/take

-- Lets the worker look again soon, where the claim could not visit all and leased nothing.
local function look_again(c, at) c.next_look = math.min(c.next_look or math.huge, at) end

-- Reads the kinds that the worker runs and that jobs are parked for, those first that were
-- visited longest ago.
local function read_kinds(cx, c)
  local turns = {}
  if c.runs then
    for of in pairs(c.runs) do
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
  if #turns > KINDS_AT_MOST then look_again(c, cx.now + AGAIN_MS) end
  for i = 1, math.min(#turns, KINDS_AT_MOST) do
    local name = turns[i].name
    if cx.kinds_paused and is_paused(c, string.match(name, '^(.*)@')) then
      -- It makes room for kinds that run.
      redis.call('ZADD', UNKNOWN, behind_all_kinds(cx), name)
    else
      c.kinds[#c.kinds + 1] = name
    end
  end
end
-- Whether one of these kinds has jobs of a class.
local function has_known(c, class)
  for _, kind in ipairs(c.kinds) do
    local first = redis.call('ZRANGE', UNKNOWN_JOBS .. kind, '[' .. class .. ':', '(' .. class .. ';', 'BYLEX', 'LIMIT', '0', '1')
    if first[1] then return true end
  end
  return false
end

-- Leases a parked job. False where it does not run: its deadline passed, or its entry is wrong.
local function lease_known(cx, c, kind, member)
  local id = string.match(member, '%z([^%z]*)$')
  local key = JOB .. id
  local job = fields_of(key, 'job', 'state', 'need')
  if not job[1] or state_of(job[2]) ~= 'parked' or job[3] ~= 'kind ' .. kind then
    remove_unknown(cx, kind, member)
    return false
  end
  cx.read = cx.read + #job[1]
  local kind_of, flow, class, deadline = header(job[1])
  leave_need(cx, id, key, job[1], flow, class)
  local by, policy = parse_deadline(deadline)
  if c.some_late and policy == 'e' and tonumber(by) <= cx.now then
    expire(cx, id, key, job[1], job[2], kind_of, by)
    redis.call('ZREM', EXPIRING, id)
    return false
  end
  -- A worker may have parked it for another kind than its own.
  if c.runs and is_unknown(cx, c, id, key, job[1], 'parked') then return false end
  return lease_again(cx, c, id, key, 'parked')
end
local function is_spent_here(cx, c) return c.bytes >= c.bytes_at_most or cx.read >= c.bytes_at_most end
-- Leases up to n jobs of one flow. Returns how many, and whether it had any that was looked at.
local function take_of_flow(cx, c, kind, class, lane, n)
  local limits, part = limited_flow(cx, string.sub(lane, 3)).limits, n
  for _, limit in ipairs(limits) do
    -- A slot that is reserved for a lane is not for these.
    local room = room_for(cx, limit, class, '')
    local at_token = room < 1 and next_token_of(cx, limit)
    if at_token then look_again(c, at_token) end
    part = math.min(part, room)
  end
  if part < 1 then return 0, false end
  local members = redis.call('ZRANGE', UNKNOWN_JOBS .. kind, '[' .. lane .. '\0', '(' .. lane .. '\1', 'BYLEX', 'LIMIT', '0', int(part))
  local started = 0
  for _, member in ipairs(members) do
    if is_spent_here(cx, c) then break end
    if lease_known(cx, c, kind, member) then started = started + 1 else c.examined = c.examined + 1 end
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
local function is_full(cx, c) return c.flows_left <= 0 or c.examined > MAX_BATCH or is_spent_here(cx, c) end
-- Leases up to n jobs of a kind and class: round by round through the flows, from behind the
-- flow that was visited last, for as long as one of them yields something.
local function take_of_kind(cx, c, kind, class, n)
  local key, field = UNKNOWN_JOBS .. kind, class .. ':' .. kind
  local part, got = math.max(c.quantum, math.ceil(n / KIND_ROUNDS)), 0
  -- The first of the flows that yielded nothing since one did.
  local lane, barren = redis.call('HGET', UNKNOWN_TURNS, field), nil
  for _ = 1, c.flows_left do
    if got >= n or is_full(cx, c) then break end
    local visited = flow_behind(key, class, lane) or flow_behind(key, class, nil)
    if not visited or visited == barren then break end
    local started, looked = take_of_flow(cx, c, kind, class, visited, math.min(n - got, part))
    got, c.flows_left, lane = got + started, c.flows_left - 1, visited
    if looked then barren = nil else barren = barren or visited end
  end
  local some_left = redis.call('EXISTS', key) == 1
  if lane and some_left then
    redis.call('HSET', UNKNOWN_TURNS, field, lane)
    redis.call('ZADD', UNKNOWN, 'XX', behind_all_kinds(cx), kind)
  end
  if got < n and some_left and is_full(cx, c) then
    -- Where limits hold all flows that were visited there is nothing to do at once.
    if c.flows_left > 0 or c.n > 0 then c.more = true else look_again(c, cx.now + AGAIN_MS) end
  end
  return got
end
-- Leases up to n parked jobs of a class. Returns how many.
local function take_known(cx, c, class, n)
  local got = 0
  for _, kind in ipairs(c.kinds) do
    if got >= n then break end
    got = got + take_of_kind(cx, c, kind, class, n - got)
  end
  return got
end

-- Leases up to n jobs of a class that has some, parked and ready ones. Returns how many, and
-- whether it stopped for want of lanes or bytes while other jobs may be next.
local function serve(cx, c, class, n)
  if not c.kinds[1] then return take(cx, c, class, n) end
  local has_ready, part = c.ready[class] > 0, n
  if has_ready then
    -- By chance, because request ids may go by twos.
    part = math.floor((n + (c.by_chance and 1 or 0)) / 2)
    c.bytes_at_most = CALL_BYTES / 2
  end
  local got = take_known(cx, c, class, part)
  c.bytes_at_most = CALL_BYTES
  if not has_ready then return got, false end
  local more_got, cut = take(cx, c, class, n - got)
  got = got + more_got
  if got < n and not cut then got = got + take_known(cx, c, class, n - got) end
  return got, cut
end
