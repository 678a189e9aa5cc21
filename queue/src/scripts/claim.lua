-- Purpose: promote due jobs, take over jobs whose lease expired, end those whose
--       deadline passed, and lease up to N ready jobs to one worker: by class,
--       within a class by turns of the tenants, within a tenant by least slack, and
--       only as many as the limits allow. Counts the attempt, so that a job which
--       kills its process still uses up its budget.
--       A call that is repeated under the same number (its answer got lost)
--       leases nothing new: it renews what it had leased and answers with that.
-- KEYS: 1 control
-- ARGV: 1 worker, 2 N (0 to 256: 0 only promotes and takes over), 3 lease in ms,
--       4 bound on promotions, expiries and take-overs in this call (at most 256),
--       5 crashes a job may survive, 6 number of the call, 7 to 9 the shares of
--       claims (0 to 1) that the classes high, normal and low get while others wait
-- Returns: {now ms, ms of the next thing to do (0 for none), jobs taken over, jobs
--       dead of crashes, 1 when there is more to do at once, {id, token, [field,
--       value...] as they were before}...}
local worker, bound = ARGV[1], tonumber(ARGV[4])
local want = tonumber(ARGV[2])
local CRASHED = 'the lease expired: the worker stopped renewing it'

local due = redis.call('ZRANGE', SCHEDULED, '-inf', at, 'BYSCORE', 'LIMIT', 0, bound)
for i, id in ipairs(due) do
  -- An index entry without a job (deleted by hand) is dropped, here and below.
  local job = redis.call('HMGET', JOB .. id, 'job', 'class', 'deadline')
  if job[1] then
    local _, flow = header(job[1])
    redis.call('HSET', JOB .. id, 'state', 'ready', 'since', at)
    put(id, job[2] or NORMAL, flow, run_by(job[3], i))
    move('promoted', id)
  end
end
if #due > 0 then redis.call('ZREM', SCHEDULED, unpack(due)) end

local crashed, buried = 0, 0
local lost = redis.call('ZRANGE', RUNNING, '-inf', at, 'BYSCORE', 'LIMIT', 0, bound)
for _, id in ipairs(lost) do
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'token', 'worker', 'released', 'job', 'class', 'cancel', 'began')
  if job[1] and job[4] then
    local kind, flow = header(job[4])
    local crashes = redis.call('HINCRBY', key, 'failed:crashed', 1)
    append_history(key, cjson.encode({
      at = now, attempt = job[1] - (job[3] or 0), class = 'crashed', worker = job[2],
      began = tonumber(job[7]), message = CRASHED,
    }), HISTORY_BYTES)
    free(id, flow)
    move('crashed', id)
    crashed = crashed + 1
    if job[6] then
      redis.call('HSET', key, 'state', 'cancelled', 'since', at)
      redis.call('ZADD', CANCELLED, at, id)
      move('cancelled', id)
    elseif crashes > tonumber(ARGV[5]) then
      bury(id, key, kind, 'crashed', CRASHED, CRASHED)
      move('dead', id)
      buried = buried + 1
    else
      redis.call('HSET', key, 'state', 'ready', 'since', at)
      -- A job that lost its worker goes before those that never started.
      watch_deadline(id, key)
      put(id, job[5] or NORMAL, flow, FIRST)
    end
  end
end
if #lost > 0 then redis.call('ZREM', RUNNING, unpack(lost)) end
if crashed > 0 then free_all() end

local late = redis.call('ZRANGE', EXPIRING, '-inf', at, 'BYSCORE', 'LIMIT', 0, bound)
local wake = put_all()
for _, id in ipairs(late) do
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state', 'deadline')
  local state = job[2] or 'ready'
  if job[1] and job[3] and (state == 'ready' or state == 'scheduled' or state == 'parked') then
    local kind, flow = header(job[1])
    if take_out(id, key, state, flow) then wake = true end
    expire(id, key, kind, string.match(job[3], '^%d+'))
  end
end
if #late > 0 then redis.call('ZREM', EXPIRING, unpack(late)) end

if limited then
  local keys = redis.call('ZRANGE', PACED, '-inf', at, 'BYSCORE', 'LIMIT', 0, 32)
  for _, key in ipairs(keys) do
    redis.call('ZREM', PACED, key)
    if release_lanes(key) then wake = true end
  end
end

local jobs, running, leased, holders = {}, {}, {ARGV[6]}, {}
local until_ms = int(now + tonumber(ARGV[3]))
local examined, more, next_token = 0, false, nil

local paused_kinds = {}
local function is_paused(kind)
  if paused_kinds[kind] == nil then paused_kinds[kind] = redis.call('SISMEMBER', PAUSED_KINDS, kind) == 1 end
  return paused_kinds[kind]
end

-- Leases a job that was taken out of its lane. False when it does not run.
local function lease(id, flow)
  local key = JOB .. id
  local fields = redis.call('HGETALL', key)
  if #fields == 0 then return false end
  local token, deadline, body = 0, nil, ''
  for i = 1, #fields, 2 do
    local name = fields[i]
    if name == 'token' then token = tonumber(fields[i + 1])
    elseif name == 'deadline' then deadline = fields[i + 1]
    elseif name == 'job' then body = fields[i + 1] end
  end
  if deadline then
    local by, policy = string.match(deadline, '^(%d+)(.)')
    if policy == 'e' and tonumber(by) <= now then
      expire(id, key, header(body), by)
      redis.call('ZREM', EXPIRING, id)
      return false
    end
  end
  if kinds_paused then
    local kind = header(body)
    if is_paused(kind) then
      park(id, key, 'resume ' .. kind, 'the kind is paused')
      move('parked', id)
      return false
    end
  end
  token = int(token + 1)
  redis.call('HSET', key, 'state', 'running', 'began', at, 'worker', worker, 'token', token)
  running[#running + 1] = until_ms
  running[#running + 1] = id
  jobs[#jobs + 1] = {id, token, fields}
  leased[#leased + 1] = id
  move('claimed', id)
  return true
end

-- Takes a lane out of the ring until there is room under the key again.
local function block(class, flow, blocking, turn)
  local lane = class .. ':' .. flow
  leave_ring(class, flow)
  if redis.call('EXISTS', LANE .. lane) == 1 then
    redis.call('ZADD', BLOCKED .. blocking, string.format('%.17g', class * CLASS_APART + turn), lane)
    redis.call('HSET', HELD, lane, blocking)
    local _, at_token = room_of(blocking, limit_of(blocking))
    if at_token then redis.call('ZADD', PACED, int(at_token), blocking) end
  else
    redis.call('ZREM', LANES .. class, flow)
  end
end

-- Leases up to n jobs of one class: repeatedly from the lane whose turn it is,
-- as many as it may have until it is another one's turn.
local function take(class, n)
  local ring, got, popped_here = RING .. class, 0, 0
  while got < n and not more do
    -- No more lanes than jobs can be served; one more tells when the turn ends.
    local window = redis.call('ZRANGE', ring, 0, n - got, 'WITHSCORES')
    if #window == 0 then break end
    local queue, tenants, complete = {}, {}, #window / 2 <= n - got
    for i = 1, #window, 2 do
      queue[#queue + 1] = {flow = window[i], turn = tonumber(window[i + 1]), step = 1}
      tenants[#tenants + 1] = tenant_of(window[i])
    end
    -- A tenant's share is split among its lanes.
    local lanes = redis.call('HMGET', FLOWS .. class, unpack(tenants))
    for i, each in ipairs(queue) do
      local weight = limited and tenants[i] ~= '' and limit_of('tenant:' .. tenants[i])
      each.step = math.max(1, tonumber(lanes[i] or '1')) / (weight and weight.weight or 1)
    end
    local changed = {}
    local head = 1
    while got < n and head <= #queue do
      local lane = queue[head]
      head = head + 1
      examined = examined + 1
      if examined > 512 then
        more = true
        break
      end
      local quantum = n - got
      if queue[head] then
        quantum = math.min(quantum, math.floor((queue[head].turn - lane.turn) / lane.step) + 1)
      end
      local blocking = nil
      if limited then
        for _, key in ipairs(keys_of(lane.flow)) do
          local limit = limit_of(key)
          if limit then
            local room = room_of(key, limit)
            if room < 1 then
              blocking = key
              break
            end
            quantum = math.min(quantum, room)
          end
        end
      end
      if blocking then
        block(class, lane.flow, blocking, lane.turn)
        pass_on(lane.flow, blocking)
        changed[lane.flow] = nil
      else
        local popped = redis.call('ZPOPMIN', LANE .. class .. ':' .. lane.flow, quantum)
        local count, runs = #popped / 2, 0
        for i = 1, #popped, 2 do
          if lease(popped[i], lane.flow) then
            runs = runs + 1
            if limited then
              for _, key in ipairs(keys_of(lane.flow)) do
                if limit_of(key) and limit_of(key).concurrency then
                  local ids = holders[key] or {}
                  holders[key] = ids
                  ids[#ids + 1] = popped[i]
                end
              end
            end
          end
        end
        popped_here = popped_here + count
        examined = examined + count - runs
        got = got + runs
        if limited and runs > 0 then
          for _, key in ipairs(keys_of(lane.flow)) do
            if limit_of(key) then take_room(key, limit_of(key), runs) end
          end
        end
        if limited and runs == 0 then pass_on(lane.flow, nil) end
        if count == 0 then
          leave_ring(class, lane.flow)
          redis.call('ZREM', LANES .. class, lane.flow)
          changed[lane.flow] = nil
        else
          times[class] = lane.turn
          lane.turn = lane.turn + count * lane.step
          changed[lane.flow] = lane.turn
          -- Not beyond the window, where other lanes may come first; and not
          -- when the lane is empty: it is found so at its next turn.
          if count == quantum and (complete or lane.turn <= queue[#queue].turn) then
            local place = #queue + 1
            while place > head and queue[place - 1].turn > lane.turn do place = place - 1 end
            table.insert(queue, place, lane)
          end
        end
      end
    end
    local turns = {}
    for flow, turn in pairs(changed) do
      turns[#turns + 1] = string.format('%.17g', turn)
      turns[#turns + 1] = flow
    end
    if #turns > 0 then redis.call('ZADD', ring, 'XX', unpack(turns)) end
    if popped_here > 0 then
      local left = redis.call('HINCRBY', CONTROL, 'ready:' .. class, -popped_here)
      popped_here = 0
      if left <= 0 then
        redis.call('UNLINK', ring, LANES .. class, FLOWS .. class)
        break
      end
    end
  end
  if times[class] then redis.call('HSET', CONTROL, 'time:' .. class, string.format('%.17g', times[class])) end
  return got
end

local last = want > 0 and redis.call('GET', CLAIM .. worker)
if last and string.sub(last, 1, #ARGV[6] + 1) == ARGV[6] .. ' ' then
  for id in string.gmatch(string.sub(last, #ARGV[6] + 2), '%S+') do
    local held = redis.call('HMGET', JOB .. id, 'worker', 'state', 'token')
    if held[1] == worker and held[2] == 'running' then
      -- The worker counts its lease from this call, not from the lost one.
      redis.call('ZADD', RUNNING, 'XX', until_ms, id)
      jobs[#jobs + 1] = {id, held[3], redis.call('HGETALL', JOB .. id)}
    end
  end
  -- Nobody looked what else is ready.
  more = #jobs < want
elseif want > 0 and not paused then
  local queue_limit = limited and limit_of('queue')
  if queue_limit then
    local room, at_token = room_of('queue', queue_limit)
    if room < 1 then next_token = at_token end
    want = math.max(0, math.min(want, room))
  end
  local waiting, control = {}, redis.call('HMGET', CONTROL, 'ready:0', 'ready:1', 'ready:2', 'ready:3', 'credit:1', 'credit:2', 'credit:3')
  for class = 0, 3 do
    if tonumber(control[class + 1] or '0') > 0 then waiting[#waiting + 1] = class end
  end
  local left = want
  if left > 0 and #waiting > 1 then
    -- The lower classes first get what their share has come to meanwhile.
    for i = 2, #waiting do
      local class = waiting[i]
      local credit = math.min(256, tonumber(control[class + 4] or '0') + want * tonumber(ARGV[6 + class]))
      local share = math.min(left, math.floor(credit))
      redis.call('HSET', CONTROL, 'credit:' .. class, string.format('%.6f', credit - share))
      if share > 0 then left = left - take(int(class), share) end
    end
  end
  for _, class in ipairs(waiting) do
    if left > 0 then left = left - take(int(class), left) end
  end
  if #jobs > 0 then
    if queue_limit then take_room('queue', queue_limit, #jobs) end
    redis.call('ZADD', RUNNING, unpack(running))
    for key, ids in pairs(holders) do redis.call('SADD', HOLDERS .. key, unpack(ids)) end
    redis.call('SET', CLAIM .. worker, table.concat(leased, ' '), 'PX', 2 * ARGV[3])
  end
  if limited then store_tokens() end
end
tell(worker)
-- What was made ready here and not taken may belong to a worker that sleeps.
if wake and (paused or more or #jobs >= tonumber(ARGV[2])) then redis.call('PUBLISH', WAKE, at) end

local next_at = next_token or 0
local function sooner(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] and (next_at == 0 or tonumber(first[2]) < next_at) then next_at = tonumber(first[2]) end
end
sooner(SCHEDULED)
sooner(RUNNING)
sooner(EXPIRING)
if limited then sooner(PACED) end
local reply = {now, math.ceil(next_at), crashed, buried, more and 1 or 0}
for _, job in ipairs(jobs) do reply[#reply + 1] = job end
return reply
