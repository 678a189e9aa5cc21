-- Purpose: promote due jobs, take over jobs whose lease expired, end those whose
--       deadline passed, and lease up to N ready jobs to one worker: by class,
--       within a class by turns of the tenants, within a tenant by least slack, and
--       only as many as the limits allow. A claim that has CALL_BYTES ends early.
--       Counts the attempt, so that a job which kills its process still uses up its
--       budget.
--       A call that is repeated under the same number (its answer got lost) leases
--       nothing new: it renews what it had leased and answers with that, unless one
--       with a number higher by two came meanwhile.
-- KEYS: 1 control
-- ARGV: 1 worker, 2 N (0 to 128: 0 only promotes and takes over), 3 lease in ms,
--       4 bound on promotions, expiries and take-overs in this call (at most 128; one
--       lease is taken over in any case),
--       5 crashes a job may survive, 6 number of the call, 7 to 9 the shares of
--       claims (0 to 1) that the classes high, normal and low get while others wait,
--       10 jobs that a lane may be given ahead of its turn (1 to 128), for a tenant of
--       weight 1
-- Returns: {now ms, ms of the next thing to do (0 for none), jobs taken over, jobs
--       dead of crashes, 1 when there is more to do at once, then for each job: id, and
--       its body where this is its first attempt, else {token, field, value...}, as they
--       were before}. The next thing to do is left out when all N were leased.
local worker, bound = ARGV[1], tonumber(ARGV[4])
local want = tonumber(ARGV[2])
local CRASHED = 'the lease expired: the worker stopped renewing it'

local due = redis.call('ZRANGE', SCHEDULED, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4])
local promoted, read = {}, 0
for i, id in ipairs(due) do
  -- Those behind large ones are promoted by the next call.
  if read >= CALL_BYTES then break end
  promoted[i] = id
  -- An index entry without a job (deleted by hand) is dropped, here and below.
  local job = redis.call('HMGET', JOB .. id, 'job', 'state')
  if job[1] then
    read = read + #job[1]
    local _, flow, class, deadline = header(job[1])
    become(JOB .. id, 'ready', job[2])
    put(id, class .. ':' .. flow, run_by(deadline, i))
    move('promoted', id)
  end
end
if #promoted > 0 then redis.call('ZREM', SCHEDULED, unpack(promoted)) end

local crashed, buried = 0, 0
-- Takes over what is left of one lease.
local function take_over(claim, id)
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state', 'released', 'cancel')
  local body, text = job[1], job[2]
  if body and state_of(text) == 'running' and claim_of(text) == claim then
    local kind, flow, class, deadline = header(body)
    local token, by, began = string.match(attempt_of(text), '^ (%d+) (%S+) (%d+)')
    local crashes = redis.call('HINCRBY', key, 'failed:crashed', 1)
    append_history(key, cjson.encode({
      at = now, attempt = (token or 0) - (job[3] or 0), class = 'crashed', worker = by,
      began = tonumber(began), message = CRASHED,
    }), HISTORY_BYTES)
    free({id}, 1, 1, flow, claim)
    move('crashed', id)
    crashed = crashed + 1
    if job[4] then
      become(key, 'cancelled', text)
      redis.call('ZADD', CANCELLED, at, id)
      move('cancelled', id)
    elseif crashes > tonumber(ARGV[5]) then
      bury(id, key, text, kind, 'crashed', CRASHED, CRASHED)
      move('dead', id)
      buried = buried + 1
    else
      become(key, 'ready', text)
      -- A job that lost its worker goes before those that never started.
      watch_deadline(id, deadline)
      put(id, class .. ':' .. flow, FIRST)
    end
  end
end
local lost, examined_lost = redis.call('ZRANGE', RUNNING, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4]), 0
local left = 0
for _, claim in ipairs(lost) do
  local lease = redis.call('HMGET', LEASE .. claim, 'ids', 'left')
  -- The first one is taken over whole, whatever its size.
  if examined_lost > 0 and examined_lost + (lease[2] or 0) > bound then break end
  for id in string.gmatch(lease[1] or '', '%S+') do
    take_over(tonumber(claim), id)
    examined_lost = examined_lost + 1
  end
  -- Also those that were deleted by hand.
  left = left + (lease[2] or 0)
  redis.call('DEL', LEASE .. claim)
  redis.call('ZREM', RUNNING, claim)
end
if left > 0 then running = redis.call('HINCRBY', CONTROL, 'running', int(-left)) end
if crashed > 0 then free_all() end

local late = redis.call('ZRANGE', EXPIRING, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4])
local wake = put_all()
for _, id in ipairs(late) do
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state')
  local state = state_of(job[2])
  if job[1] and (state == 'ready' or state == 'scheduled' or state == 'parked') then
    local kind, flow, class, deadline = header(job[1])
    if deadline ~= '' then
      if take_out(id, key, state, flow, class) then wake = true end
      expire(id, key, job[2], kind, string.match(deadline, '^%d+'))
    end
  end
end
if #late > 0 then redis.call('ZREM', EXPIRING, unpack(late)) end

if limited and is_any_held() then
  local keys = redis.call('ZRANGE', PACED, '-inf', at, 'BYSCORE', 'LIMIT', '0', '32')
  for _, key in ipairs(keys) do
    redis.call('ZREM', PACED, key)
    if release_lanes(key) then wake = true end
  end
end

-- A deadline that passed is found here only if there were too many of them.
local overdue = #late == bound
local until_ms = int(now + tonumber(ARGV[3]))
local examined, more, next_token = 0, false, nil
-- Jobs that are leased here: their ids, the reply with room for what stands first, and
-- the bytes of it.
local leased, reply, n_leased, bytes = {}, {0, 0, 0, 0, 0}, 0, 0

local paused_kinds = {}
local function is_paused(kind)
  if paused_kinds[kind] == nil then paused_kinds[kind] = redis.call('SISMEMBER', PAUSED_KINDS, kind) == 1 end
  return paused_kinds[kind]
end

local control = redis.call(
  'HMGET', CONTROL, 'ready:0', 'ready:1', 'ready:2', 'ready:3', 'credit:1', 'credit:2', 'credit:3', 'claims', 'running',
  'time:0', 'time:1', 'time:2', 'time:3'
)
running = tonumber(control[9] or '0')
for class = 0, 3 do time_texts[int(class)] = control[10 + class] or '0' end
local claim = int((control[8] or 0) + 1)
-- Fields of it that change here.
local changed = {}
local function change(field, value)
  changed[#changed + 1] = field
  changed[#changed + 1] = value
end
-- What is written about an attempt, behind its token.
local attempt = ' ' .. worker .. ' ' .. at .. ' ' .. claim
local first_attempt = 'running 1' .. attempt

local function answered(id, content, size)
  n_leased = n_leased + 1
  bytes = bytes + size
  leased[n_leased] = id
  local n = n_leased * 2
  reply[n + 4], reply[n + 5] = id, content
end
local function answered_again(id, token, fields)
  local size = 0
  for _, text in ipairs(fields) do size = size + #text end
  table.insert(fields, 1, token)
  answered(id, fields, size)
end

-- Ends or parks a job that must not start, although its turn has come. False when it
-- may start.
local function is_held_back(id, key, body)
  local kind, _, _, deadline = header(body)
  local by, policy = string.match(deadline, '^(%d+)(.)')
  if policy == 'e' and tonumber(by) <= now then
    expire(id, key, redis.call('HGET', key, 'state'), kind, by)
    redis.call('ZREM', EXPIRING, id)
    return true
  end
  if kinds_paused and is_paused(kind) then
    park(id, key, redis.call('HGET', key, 'state'), 'resume ' .. kind, 'the kind is paused')
    move('parked', id)
    return true
  end
  return false
end

-- Leases a job that was taken out of its lane. False when it does not run.
local function lease(id)
  local key = JOB .. id
  local body = redis.call('HGET', key, 'job')
  if body then
    if (overdue or kinds_paused) and is_held_back(id, key, body) then return false end
    if redis.call('HSETNX', key, 'state', first_attempt) == 1 then
      answered(id, body, #body)
      return true
    end
  end
  -- It ran before, or something else was done to it.
  local fields, text = redis.call('HGETALL', key), redis.call('HGET', key, 'state')
  -- Nobody else has it, and it is not somewhere else by its state either.
  if #fields == 0 or state_of(text) ~= 'ready' then return false end
  local token = string.match(attempt_of(text), '^ (%d+)') or 0
  token = int(token + 1)
  redis.call('HSET', key, 'state', 'running ' .. token .. attempt)
  answered_again(id, token, fields)
  return true
end

-- Takes a lane out of the ring until there is room under the key again.
local function block(class, flow, blocking, turn)
  local lane = class .. ':' .. flow
  leave_ring(class, flow)
  if redis.call('EXISTS', LANE .. lane) == 1 then
    redis.call('ZADD', BLOCKED .. blocking, class * CLASS_APART + turn, lane)
    redis.call('HSET', HELD, lane, blocking)
    count_held(class, flow, blocking, 1)
    any_held = true
    local at_token = next_token_of(limit_of(blocking))
    if at_token then redis.call('ZADD', PACED, int(at_token), blocking) end
  else
    redis.call('ZREM', LANES .. class, flow)
  end
end

-- What is known of a flow: its tenant and the tenant's weight, and the limits that hold
-- its jobs, with their room.
local no_limits = {}
local function limited_flow(name)
  local flow = flow_of(name)
  if flow.limits then return flow end
  flow.limits = no_limits
  if limited then
    local limits, n = {}, 0
    for i, key in ipairs(flow.keys) do
      local limit = limit_of(key)
      if limit then
        if limit.concurrency or limit.rate then
          room_of(key, limit)
          n = n + 1
          limits[n] = limit
        end
        -- The first is the tenant's, if there is one.
        if limit.weight and i == 1 and flow.tenant ~= '' then flow.weight = limit.weight end
      end
    end
    if n > 0 then flow.limits = limits end
  end
  return flow
end

-- How far ahead of its turn a lane is served at most, in virtual time, so that the work
-- of a claim is bounded by its size and not by that of the ring: what a lane gets ahead
-- it waits for afterwards.
local quantum = tonumber(ARGV[10])
-- Who comes anew may have to wait until all that take turns had theirs. Where that would
-- come to more jobs than ROTATION each gets less, but not below a quarter of a claim.
local ROTATION = 4096
-- How many lanes take turns in each class that has jobs.
local turning = {}
local function quantum_of(class)
  local quarter = math.max(1, math.floor(want / 4))
  if quantum <= quarter then return quantum end
  return math.max(quarter, math.min(quantum, math.floor(ROTATION / math.max(1, turning[class]))))
end
-- The jobs of many lanes lie far apart in memory and cost Redis half as much again, so a
-- claim is then smaller.
local MANY_LANES, JOBS_OF_MANY = 1024, 80
-- Where lanes have few jobs each, a claim ends at so many lanes, because each costs as
-- much as two jobs; a class that gets a part of the claim gets that part of the lanes.
local LANES_AT_MOST, lanes_left = 32, 48

-- Lanes of a class whose turns come first, and the keys that may limit them.
local function read_ring(class, most, keys)
  local window = redis.call('ZRANGE', RING .. class, '0', int(most), 'WITHSCORES')
  if limited then
    for i = 1, #window, 2 do
      for _, key in ipairs(keys_of(window[i])) do keys[#keys + 1] = key end
    end
  end
  return window
end
-- What was read of the rings ahead, so that all limits are learnt at once.
local windows = {}
local function read_ahead(parts)
  local keys = {'queue'}
  for class, n in pairs(parts) do
    local most = math.min(LANES_AT_MOST, math.ceil(n / quantum_of(class)))
    windows[class] = {most = most, lanes = read_ring(class, most, keys)}
  end
  learn(keys)
end
local function window_from(class, most)
  local ahead = windows[class]
  windows[class] = nil
  if ahead and ahead.most >= most then return ahead.lanes, ahead.most end
  local keys = {}
  local window = read_ring(class, most, keys)
  learn(keys)
  return window, most
end

-- Lanes of a class whose turns come first, at least `most` if there are so many, and
-- when it is the turn of one behind them.
local function window_of(class, most)
  local window, most = window_from(class, most)
  local queue, fields = {}, {}
  local some_held = limited and is_any_held()
  for i = 1, #window, 2 do
    local flow = limited_flow(window[i])
    queue[#queue + 1] = {flow = window[i], turn = tonumber(window[i + 1]), step = 1 / flow.weight, planned = 0, limits = flow.limits}
    fields[#fields + 1] = flow.tenant
    if some_held then
      for _, limit in ipairs(flow.limits) do fields[#fields + 1] = flow.tenant .. '|' .. limit.key end
    end
  end
  -- One that is alone here may still share a limit with lanes that it holds.
  if #queue > 1 or some_held and #queue > 0 then
    -- A tenant's share is split among its lanes: those that take turns, and those
    -- that are held by a limit of this one.
    local lanes, read = redis.call('HMGET', FLOWS .. class, unpack(fields)), 0
    for _, lane in ipairs(queue) do
      local sharing = 0
      for _ = 0, some_held and #lane.limits or 0 do
        read = read + 1
        sharing = sharing + (lanes[read] or 0)
      end
      if sharing > 1 then lane.step = lane.step * sharing end
    end
  end
  return queue, #queue > most and queue[#queue].turn or math.huge
end

-- Divides n jobs among lanes: one after the other to the lane whose turn it is.
-- What is divided starts at once, so each lane is then asked for its part in one
-- go. Returns the lanes that get some, and those that a limit holds.
local function divide(class, queue, horizon, n, quantum)
  local served, held = {}, {}
  local head = 1
  while n > 0 and head <= #queue do
    local lane = queue[head]
    -- Beyond the window other lanes may come first.
    if lane.turn > horizon then break end
    head = head + 1
    local blocking, part = nil, n
    local follower = queue[head] and queue[head].turn or horizon
    if follower < math.huge then
      local ahead = math.floor((follower - lane.turn) / lane.step) + 1
      if quantum > 1 then ahead = math.max(ahead, math.floor(quantum / lane.step)) end
      part = math.min(n, ahead)
    end
    for _, limit in ipairs(lane.limits) do
      if limit.room < part then part = limit.room end
      if part < 1 then
        blocking = limit
        break
      end
    end
    if blocking then
      lane.blocking = blocking
      held[#held + 1] = lane
    else
      for _, limit in ipairs(lane.limits) do
        limit.room = limit.room - part
        limit.taken = limit.taken + part
      end
      if lane.planned == 0 then served[#served + 1] = lane end
      lane.planned = lane.planned + part
      n = n - part
      times[class] = lane.turn
      lane.turn = lane.turn + part * lane.step
      local place = #queue + 1
      while place > head and queue[place - 1].turn > lane.turn do place = place - 1 end
      table.insert(queue, place, lane)
    end
  end
  return served, held
end

-- Leases up to n jobs of one class. Returns how many, and whether others may be next that
-- it had no lanes or bytes for.
local function take(class, n)
  local ring, got = RING .. class, 0
  local ready = tonumber(control[class + 1])
  local left = ready
  virtual_time(class)
  local began, at_least = times[class], quantum_of(class)
  local lanes = math.min(lanes_left, math.ceil(LANES_AT_MOST * n / want))
  lanes_left = lanes_left - lanes
  while got < n and lanes > 0 and examined <= 128 and bytes < CALL_BYTES and compared < CALL_BYTES do
    -- About as many as are needed.
    local queue, horizon = window_of(class, math.min(lanes, math.ceil((n - got) / at_least)))
    local served, held = divide(class, queue, horizon, n - got, at_least)
    lanes = lanes - #served - #held
    -- Some had less than that.
    at_least = math.max(1, math.floor(at_least / 2))
    if #served + #held == 0 then break end
    local turns, popped_here = {}, 0
    for _, lane in ipairs(served) do
      local flow = lane.flow
      local name, popped, scores, dropped = class .. ':' .. flow, nil, nil, 0
      if bytes < CALL_BYTES and compared < CALL_BYTES then popped, scores, dropped = take_first(name, lane.planned) end
      local count, started = 0, 0
      for i, id in ipairs(popped or NONE) do
        if bytes >= CALL_BYTES then
          put_back(name, popped, scores, i)
          break
        end
        count = i
        if lease(id) then started = started + 1 end
      end
      local unused = lane.planned - started
      for _, limit in ipairs(lane.limits) do
        limit.room = limit.room + unused
        limit.taken = limit.taken - unused
        if limit.concurrency and started > 0 then hold(limit, started) end
      end
      got = got + started
      popped_here = popped_here + count
      lane.turn = lane.turn - (lane.planned - count) * lane.step
      local is_empty = popped and count == 0 and redis.call('EXISTS', LANE .. name) == 0
      -- What was read ahead may lack a lane that is let in.
      if limited and started == 0 and (count > 0 or is_empty) and pass_on(flow, nil) then windows = {} end
      if is_empty then
        -- Its turn came and it has nothing.
        leave_ring(class, flow)
        redis.call('ZREM', LANES .. class, flow)
        examined = examined + 1
      else
        turns[#turns + 1] = lane.turn
        turns[#turns + 1] = flow
        -- Those that are gone cost a quarter of a job.
        examined = examined + count - started + math.ceil(dropped / 4)
      end
    end
    if #turns > 0 then redis.call('ZADD', ring, 'XX', unpack(turns)) end
    for _, lane in ipairs(held) do
      examined = examined + 1
      -- Lanes that were planned for and had less may have left some room.
      if lane.blocking.room < 1 then
        block(class, lane.flow, lane.blocking.key, lane.turn)
        if pass_on(lane.flow, lane.blocking.key) then windows = {} end
      end
    end
    if popped_here > 0 then
      left = left - popped_here
      if left <= 0 then
        redis.call('UNLINK', ring, LANES .. class, FLOWS .. class)
        break
      end
    end
  end
  lanes_left = lanes_left + math.max(lanes, 0)
  local cut = got < n and left > 0 and (lanes <= 0 or examined > 128 or bytes >= CALL_BYTES or compared >= CALL_BYTES)
  if left ~= ready then change('ready:' .. class, int(left)) end
  control[class + 1] = left
  if times[class] ~= began then change('time:' .. class, times[class]) end
  return got, cut
end

-- A worker has two claims under way at most, with numbers that follow each other.
local remembered = CLAIM .. worker .. ':' .. tonumber(ARGV[6]) % 2
local last = want > 0 and redis.call('GET', remembered)
local last_number, last_claim = string.match(last or '', '^(%d+) (%d+)$')
if last_number == ARGV[6] then
  local ids = redis.call('HGET', LEASE .. last_claim, 'ids') or ''
  for id in string.gmatch(ids, '%S+') do
    local key = JOB .. id
    local text = redis.call('HGET', key, 'state')
    if claim_of(text) == tonumber(last_claim) then
      answered_again(id, string.match(text, '%d+'), redis.call('HGETALL', key))
    end
  end
  -- The worker counts its lease from this call, not from the lost one.
  redis.call('ZADD', RUNNING, 'XX', until_ms, last_claim)
  -- Nobody looked what else is ready.
  more = n_leased < want
elseif want > 0 and not paused then
  local waiting, lanes = {}, 0
  for class = 0, 3 do
    if tonumber(control[class + 1] or '0') > 0 then
      local name = int(class)
      waiting[#waiting + 1] = name
      turning[name] = redis.call('ZCARD', RING .. name)
      lanes = lanes + turning[name]
    end
  end
  if lanes > MANY_LANES then want = math.min(want, JOBS_OF_MANY) end
  -- The lower classes first get what their share has come to meanwhile, once that is as
  -- much as a lane may be given ahead.
  local function credit_of(class)
    -- Bounded, for a class that cannot run for long; above what one claim pays and earns.
    return math.min(384, tonumber(control[class + 4] or '0') + want * tonumber(ARGV[6 + class]))
  end
  local function share_of(credit) return credit < quantum and 0 or math.floor(credit) end
  if limited and #waiting > 0 then
    local parts, rest = {}, want
    for i = 2, #waiting do
      local part = math.min(rest, share_of(credit_of(waiting[i])))
      if part > 0 then parts[waiting[i]] = part end
      rest = rest - part
    end
    if rest > 0 then parts[waiting[1]] = rest end
    read_ahead(parts)
  end
  local queue_limit = limited and limit_of('queue')
  if queue_limit then
    local room = room_of('queue', queue_limit)
    if room < 1 then next_token = next_token_of(queue_limit) end
    want = math.max(0, math.min(want, room))
  end
  local left = want
  for i = 2, left > 0 and #waiting or 0 do
    local class = waiting[i]
    local credit = credit_of(class)
    local share = math.min(left, share_of(credit))
    change('credit:' .. class, string.format('%.6f', credit - share))
    if share > 0 then left = left - take(class, share) end
  end
  for _, class in ipairs(waiting) do
    if left <= 0 then break end
    local got, cut = take(class, left)
    left = left - got
    -- What it had no lanes or bytes for is not for the lower classes.
    if cut then
      more = true
      break
    end
  end
  -- Who would have had more of fewer lanes.
  if lanes > MANY_LANES and n_leased >= JOBS_OF_MANY and n_leased < tonumber(ARGV[2]) then more = true end
  if n_leased > 0 then
    if queue_limit then queue_limit.taken = n_leased end
    redis.call('ZADD', RUNNING, until_ms, claim)
    leased.text = table.concat(leased, ' ')
    redis.call('HSET', LEASE .. claim, 'left', n_leased, 'ids', leased.text)
    change('claims', claim)
    change('running', int(running + n_leased))
    redis.call('SET', remembered, ARGV[6] .. ' ' .. claim, 'PX', 2 * ARGV[3])
    moved[#moved + 1] = 'claimed'
    moves.claimed = leased
  end
  if #changed > 0 then redis.call('HSET', CONTROL, unpack(changed)) end
  if limited then
    store_held()
    store_tokens()
  end
end
tell(worker)
-- What was made ready here and not taken may belong to a worker that sleeps.
if wake and (paused or more or n_leased >= tonumber(ARGV[2])) then redis.call('PUBLISH', WAKE, at) end

local next_at = next_token or 0
local function sooner(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] and (next_at == 0 or tonumber(first[2]) < next_at) then next_at = tonumber(first[2]) end
end
-- Who got all that it asked for does not sleep.
if n_leased == 0 or n_leased < tonumber(ARGV[2]) then
  sooner(SCHEDULED)
  sooner(RUNNING)
  sooner(EXPIRING)
  if limited and is_any_held() then sooner(PACED) end
end
reply[1], reply[2], reply[3], reply[4], reply[5] = now, math.ceil(next_at), crashed, buried, more and 1 or 0
return reply
