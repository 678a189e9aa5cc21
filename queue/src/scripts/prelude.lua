-- What the scripts share. In front of it stand the names of the keys (from
-- `keys.rs`), the layout's version SCHEMA, and micros(): the time. KEYS[1] is
-- the control key of the queue; all keys follow from it and share its slot.

-- Lua writes large numbers in scientific notation when they are made a part of a
-- text, so those go through int(). What is passed to a command as a number is
-- written in full by Redis, in more time.
local function int(x) return string.format('%d', x) end

local known = redis.call('HMGET', CONTROL, 'schema', 'limited', 'paused', 'paused_kinds')
if known[1] ~= SCHEMA then
  if known[1] or redis.call('EXISTS', STATS) == 1 then
    return redis.error_reply('SCHEMA the queue was written with layout ' .. (known[1] or '1') ..
      ', this program speaks layout ' .. SCHEMA .. ': run the version of Upshot that fits, or use another prefix')
  end
  redis.call('HSET', CONTROL, 'schema', SCHEMA)
end
-- Whether any limit or weight is set. Without one nobody looks for any.
local limited, paused, kinds_paused = known[2] == '1', known[3] == '1', known[4] == '1'

local us = micros()
local now = math.floor(us / 1000)
local at = int(now)

-- A job's body starts with `enqueued at|class|deadline|kind|flow` and a line feed; a
-- deadline is `ms` and what happens then (e or r), a flow is the tenant and the limit
-- keys, between bars.
local function header(body)
  local class, deadline, kind, flow = string.match(body, '^%d+|(%d)|([^|\n]*)|([^|\n]*)|([^\n]*)\n')
  -- A damaged body belongs to nobody; whoever claims it finds out.
  return kind or '?', flow or '', class or NORMAL, deadline or ''
end

-- The state of a job is one field, and so one write: `state since`, and behind it
-- ` token worker began` of its last attempt, once there was one; while it runs,
-- `running token worker began claim`. A job without the field is ready for the first
-- time, and has nothing but its body and a count of duplicates.
local function state_of(text)
  return text and string.match(text, '^%a+') or 'ready'
end
-- The last attempt of a state: with a blank before it, or nothing.
local function attempt_of(text)
  if not text then return '' end
  return string.match(text, '^running( %d+ %S+ %d+)') or string.match(text, '^%a+ %d+( .*)$') or ''
end
local function become(key, state, text)
  redis.call('HSET', key, 'state', state .. ' ' .. at .. attempt_of(text))
end
-- A write is fenced: it counts only while the job runs under that token and worker.
local function fence_of(token, worker) return 'running ' .. token .. ' ' .. worker .. ' ' end
local function is_held(text, fence) return text and string.sub(text, 1, #fence) == fence end
-- The number of the claim by which a job runs; of one that does not run, 0.
local function claim_of(text) return text and tonumber(string.match(text, '^running %d+ %S+ %d+ (%d+)$')) or 0 end

-- The jobs of a claim share one lease: `lease:n` has their ids and how many of them
-- still run, `running` when it expires. Whoever ends an attempt says so here.
local over, n_over = {}, 0
local function stops(claim, n)
  over[claim] = (over[claim] or 0) + n
  n_over = n_over + n
end
local function end_leases()
  for claim, n in pairs(over) do
    if redis.call('HINCRBY', LEASE .. int(claim), 'left', -n) <= 0 then
      redis.call('DEL', LEASE .. int(claim))
      redis.call('ZREM', RUNNING, claim)
    end
  end
  if n_over > 0 then redis.call('HINCRBY', CONTROL, 'running', -n_over) end
end

-- The limit keys of a flow: that of its tenant, and those of its own. One that
-- was named twice holds a job no more than once.
local keys_known = {}
local function keys_of(flow)
  local keys = keys_known[flow]
  if keys then return keys end
  keys = {}
  local tenant, first, others = string.match(flow, '^([^|]*)|?([^|]*)(.*)$')
  if tenant ~= '' then keys[1] = 'tenant:' .. tenant end
  if first ~= '' then keys[#keys + 1] = 'key:' .. first end
  for part in string.gmatch(others, '[^|]+') do
    local key, named = 'key:' .. part, false
    for _, each in ipairs(keys) do named = named or each == key end
    if not named then keys[#keys + 1] = key end
  end
  keys_known[flow] = keys
  return keys
end

-- Appends one line to a text field of a job and drops the oldest lines beyond
-- the caps in bytes and in lines. The newest line is always kept.
local function append(key, field, line, bytes, lines)
  local text = redis.call('HGET', key, field)
  if text then
    line = text .. '\n' .. line
    local _, feeds = string.gsub(line, '\n', '')
    while #line > bytes or feeds >= lines do
      local cut = string.find(line, '\n', 1, true)
      if not cut then break end
      line = string.sub(line, cut + 1)
      feeds = feeds - 1
    end
  end
  redis.call('HSET', key, field, line)
end
local function append_history(key, line, cap) append(key, 'history', line, cap, 64) end

-- Transitions of this call: ids by what happened to them, or these and their `text`
-- where somebody put them together. They are told to those who watch, counted, and
-- appended to the outbox as one entry.
local moves, moved = {}, {}
local function move(what, id)
  local ids = moves[what]
  if not ids then
    ids = {}
    moves[what] = ids
    moved[#moved + 1] = what
  end
  ids[#ids + 1] = id
end
local function tell(by)
  if #moved == 0 then return end
  local entry, all = {'XADD', OUTBOX, '*', 'by', by}, {}
  for i, what in ipairs(moved) do
    all[i] = moves[what].text or table.concat(moves[what], ' ')
    redis.call('HINCRBY', STATS, what, #moves[what])
    entry[#entry + 1] = what
    entry[#entry + 1] = all[i]
  end
  redis.call(unpack(entry))
  redis.call('PUBLISH', CHANGES, table.concat(all, ' '))
end

-- Limits. A limit is stored as `concurrency|tokens a second|burst|weight|since`, with
-- an empty part where it does not limit. Running jobs of claims behind `since` are
-- counted; those that ran before a limit on concurrency was set are counted if `holders`
-- has them.
local limits = {}
-- Reads the limits of some keys at once, and how many jobs count for each.
local function learn(keys)
  local unknown = {}
  for _, key in ipairs(keys) do
    if limits[key] == nil then
      limits[key] = false
      unknown[#unknown + 1] = key
    end
  end
  if #unknown == 0 then return end
  local texts = redis.call('HMGET', LIMITS, unpack(unknown))
  local counts = redis.call('HMGET', HOLDING, unpack(unknown))
  for i, key in ipairs(unknown) do
    if texts[i] then
      local concurrency, rate, burst, weight, since =
        string.match(texts[i], '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(%d*)$')
      limits[key] = {
        key = key, concurrency = tonumber(concurrency), rate = tonumber(rate), burst = tonumber(burst),
        weight = tonumber(weight), since = tonumber(since) or 0, holding = tonumber(counts[i] or '0'),
      }
    end
  end
end
local function limit_of(key)
  if limits[key] == nil then learn({key}) end
  return limits[key]
end
-- Counts jobs for a limit, or some less. What came of it is stored at the end.
local held = {}
local function hold(limit, n)
  limit.holding = limit.holding + n
  held[limit.key] = limit
end
local function store_held()
  local some, none = {}, {}
  for key, limit in pairs(held) do
    if limit.holding > 0 then
      some[#some + 1] = key
      some[#some + 1] = int(limit.holding)
    else
      none[#none + 1] = key
    end
  end
  if #some > 0 then redis.call('HSET', HOLDING, unpack(some)) end
  if #none > 0 then redis.call('HDEL', HOLDING, unpack(none)) end
  held = {}
end
-- How many jobs may start now under a key. Remembered within the call.
local function room_of(key, limit)
  if limit.room then return limit.room end
  local room = 1e9
  if limit.concurrency then
    room = limit.concurrency - (key == 'queue' and (redis.call('HGET', CONTROL, 'running') or 0) or limit.holding)
  end
  if limit.rate then
    local tokens = limit.burst
    local stored = redis.call('HGET', BUCKETS, key)
    if stored then
      local left, since = string.match(stored, '^(%S+) (%S+)$')
      tokens = math.min(limit.burst, tonumber(left) + (us - tonumber(since)) / 1000000 * limit.rate)
    end
    limit.tokens = tokens
    -- A hair below a whole token is a whole one: it has come by the time it is asked for.
    room = math.min(room, math.floor(tokens + 0.000001))
  end
  limit.room = room
  limit.taken = 0
  return room
end
-- When there is a token for a job (ms), where it is tokens that are missing.
local function next_token_of(limit)
  if not limit or not limit.rate or limit.tokens - limit.taken >= 0.999999 then return nil end
  return now + math.ceil((1 - limit.tokens + limit.taken) / limit.rate * 1000)
end
local function store_tokens()
  for key, limit in pairs(limits) do
    if limit and limit.rate and limit.taken and limit.taken > 0 then
      redis.call('HSET', BUCKETS, key, string.format('%.6f %.0f', math.max(0, limit.tokens - limit.taken), us))
    end
  end
end

-- Lanes take turns by virtual time (start-time fair queueing, Goyal et al.
-- 1996): a lane's turn is its flow's score in the ring of its class.
local times = {}
local function virtual_time(class)
  local time = times[class]
  if not time then
    time = tonumber(redis.call('HGET', CONTROL, 'time:' .. class) or '0')
    times[class] = time
  end
  return time
end
local function tenant_of(flow) return string.match(flow, '^[^|]*') end
local function take_turns(class, flow, turn)
  -- A flow that was served lately keeps its turn: emptying a lane gains nothing.
  if redis.call('ZADD', RING .. class, 'NX', math.max(turn, virtual_time(class)), flow) == 1 then
    redis.call('HINCRBY', FLOWS .. class, tenant_of(flow), 1)
  end
end
local function leave_ring(class, flow)
  if redis.call('ZREM', RING .. class, flow) == 1 then
    local tenant = tenant_of(flow)
    if redis.call('HINCRBY', FLOWS .. class, tenant, -1) <= 0 then redis.call('HDEL', FLOWS .. class, tenant) end
  end
end
-- Lanes wait for a limit key by class, then by turn: virtual times of different
-- classes say nothing about each other. A double holds both, the turn to 1/128.
local CLASS_APART = 2 ^ 44
-- Lanes that a key holds count for their tenant as well, beside the lanes that
-- share the key: they take its room in turns.
local function count_held(class, flow, key, n)
  local field = tenant_of(flow) .. '|' .. key
  if redis.call('HINCRBY', FLOWS .. class, field, n) <= 0 then redis.call('HDEL', FLOWS .. class, field) end
end
local function let_in(key, lane, score)
  local class, flow = string.sub(lane, 1, 1), string.sub(lane, 3)
  redis.call('HDEL', HELD, lane)
  count_held(class, flow, key, -1)
  take_turns(class, flow, tonumber(score) - class * CLASS_APART)
  return class
end
-- Lets lanes that wait for a limit key take turns again, as many as there is
-- room for. At most 32 a call: each of them ends in another release.
local any_held = nil
local function is_any_held()
  if any_held == nil then any_held = redis.call('EXISTS', HELD) == 1 end
  return any_held
end
local function release_lanes(key)
  if not is_any_held() then return false end
  local limit = limit_of(key)
  local room, next_token = 32, nil
  if limit then
    room = room_of(key, limit)
    next_token = next_token_of(limit)
  end
  local woken = false
  if room >= 1 then
    local lanes, class = redis.call('ZPOPMIN', BLOCKED .. key, math.min(room, 32)), nil
    for i = 1, #lanes, 2 do
      class = let_in(key, lanes[i], lanes[i + 1])
      woken = true
    end
    -- Whose turn it is among classes is for the claims to say, by their shares:
    -- the first lane of each lower class comes along.
    for _ = class or 3, 2 do
      local below = redis.call('ZRANGE', BLOCKED .. key, int((class + 1) * CLASS_APART), '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
      if #below == 0 then break end
      redis.call('ZREM', BLOCKED .. key, below[1])
      class = let_in(key, below[1], below[2])
    end
    if limit and limit.rate then next_token = now + math.ceil(1000 / limit.rate) end
  end
  if next_token and redis.call('EXISTS', BLOCKED .. key) == 1 then redis.call('ZADD', PACED, int(next_token), key) end
  return woken
end

-- Ready jobs of this call, by lane, until they are put into their lanes.
local pending, pending_lanes = {}, {}
local function waiting_for(lane)
  local list = pending[lane]
  if not list then
    list = {}
    pending[lane] = list
    pending_lanes[#pending_lanes + 1] = lane
  end
  return list
end
local function put(id, lane, score)
  local list = waiting_for(lane)
  list[#list + 1] = score
  list[#list + 1] = id
end
-- Lanes that are not in the ring of their class, and not held, take turns from now on.
-- True when nobody took turns before.
local function take_turns_all(class, flows)
  local time, ring, lanes = virtual_time(class), {}, {}
  local tenants, more = {}, {}
  for i, flow in ipairs(flows) do
    ring[2 * i - 1], ring[2 * i] = time, flow
    lanes[2 * i - 1], lanes[2 * i] = '0', flow
    local tenant = tenant_of(flow)
    if not more[tenant] then tenants[#tenants + 1] = tenant end
    more[tenant] = (more[tenant] or 0) + 1
  end
  redis.call('ZADD', RING .. class, unpack(ring))
  redis.call('ZADD', LANES .. class, unpack(lanes))
  local before, after = redis.call('HMGET', FLOWS .. class, unpack(tenants)), {}
  for i, tenant in ipairs(tenants) do
    after[2 * i - 1], after[2 * i] = tenant, int(tonumber(before[i] or '0') + more[tenant])
  end
  redis.call('HSET', FLOWS .. class, unpack(after))
  return redis.call('ZCARD', RING .. class) == #flows
end
-- Puts them in. True when a worker that sleeps has to be woken: workers go to
-- sleep after they saw nobody's turn, so a wake-up is owed by the first job that
-- they could have.
local function put_all()
  local wake, classes = false, {}
  for _, lane in ipairs(pending_lanes) do
    local class = string.sub(lane, 1, 1)
    local group = classes[class]
    if not group then
      group = {n = 0, lanes = {}, flows = {}, added = {}}
      classes[class] = group
    end
    local added = redis.call('ZADD', LANE .. lane, unpack(pending[lane]))
    local i = #group.lanes + 1
    group.n = group.n + added
    group.lanes[i], group.flows[i], group.added[i] = lane, string.sub(lane, 3), added
  end
  for class, group in pairs(classes) do
    local alone = redis.call('HINCRBY', CONTROL, 'ready:' .. class, group.n) == group.n
    local turns = redis.call('ZMSCORE', RING .. class, unpack(group.flows))
    local waits_for = limited and redis.call('HMGET', HELD, unpack(group.lanes))
    local new = {}
    for i, lane in ipairs(group.lanes) do
      if turns[i] then
        -- Its turn may not have come since it was empty. Other lanes with jobs are a
        -- reason for workers to be awake, unless limits hold those.
        wake = wake or alone or limited and redis.call('ZCARD', LANE .. lane) == group.added[i]
      elseif not (waits_for and waits_for[i]) then
        new[#new + 1] = group.flows[i]
      end
    end
    if #new > 0 and take_turns_all(class, new) then wake = true end
  end
  pending, pending_lanes = {}, {}
  return wake
end
-- When a job should have run (µs): its deadline, or a day after it became ready.
local function run_by(deadline, i)
  if deadline ~= '' then return int(tonumber(string.match(deadline, '^%d+')) * 1000) end
  return int(us + (i or 0) + PATIENCE_US)
end
local FIRST = '0'

-- Jobs that stop running free what they held of the limits: ids by flow and claim.
local freed = {}
local function freed_of(flow, claim)
  local claims = freed[flow]
  if not claims then
    claims = {}
    freed[flow] = claims
  end
  local ids = claims[claim]
  if not ids then
    ids = {}
    claims[claim] = ids
  end
  return ids
end
local function free(id, flow, claim)
  local ids = freed_of(flow, claim)
  ids[#ids + 1] = id
end
-- To be called once they no longer count as running.
local function free_all()
  if not limited then return false end
  local keys = {'queue'}
  for flow in pairs(freed) do
    for _, key in ipairs(keys_of(flow)) do keys[#keys + 1] = key end
  end
  learn(keys)
  -- Workers sleep on the queue's own limit only once it is reached.
  local whole = limits.queue and limits.queue.concurrency
  local woken = whole and (redis.call('HGET', CONTROL, 'running') or 0) + n_over >= whole or false
  local touched = {}
  for flow, claims in pairs(freed) do
    for _, key in ipairs(keys_of(flow)) do
      local limit = limits[key]
      if limit then
        touched[key] = limit
        limit.room = nil
        if limit.concurrency then
          for claim, ids in pairs(claims) do
            hold(limit, -(claim > limit.since and #ids or redis.call('SREM', HOLDERS .. key, unpack(ids))))
          end
        end
      end
    end
  end
  for key in pairs(touched) do
    if release_lanes(key) then woken = true end
  end
  store_held()
  return woken
end

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
  if redis.call('EXISTS', MEMBERS .. fingerprint) == 0 then
    redis.call('DEL', GROUP .. fingerprint)
    redis.call('ZREM', GROUPS, fingerprint)
  end
end

-- A lane that had been let in by a limit key and does not use the room leaves it
-- to the next. True when one is let in.
local function pass_on(flow, but)
  local woken = false
  for _, key in ipairs(keys_of(flow)) do
    if key ~= but and limit_of(key) and release_lanes(key) then woken = true end
  end
  return woken
end
-- Takes a job that waits or is dead out of the index of its state. True when
-- other jobs may run in its place.
local function take_out(id, key, state, flow, class)
  local woken = false
  if state == 'ready' then
    local lane = class .. ':' .. flow
    local left = redis.call('ZREM', LANE .. lane, id) == 1 and redis.call('HINCRBY', CONTROL, 'ready:' .. class, -1)
    if limited and redis.call('EXISTS', LANE .. lane) == 0 then
      local held = redis.call('HGET', HELD, lane)
      if held then
        redis.call('ZREM', BLOCKED .. held, lane)
        redis.call('HDEL', HELD, lane)
        count_held(class, flow, held, -1)
        redis.call('ZREM', LANES .. class, flow)
      else
        -- Not at its next turn: that may never come, in a class without jobs.
        woken = pass_on(flow, nil)
      end
    end
    if left and left <= 0 then redis.call('UNLINK', RING .. class, LANES .. class, FLOWS .. class) end
  elseif state == 'scheduled' then
    redis.call('ZREM', SCHEDULED, id)
  elseif state == 'parked' then
    redis.call('ZREM', PARKED, id)
    local need = redis.call('HGET', key, 'need')
    if need and redis.call('ZREM', NEED .. need, id) == 1 and redis.call('HINCRBY', NEEDS, need, -1) <= 0 then
      redis.call('HDEL', NEEDS, need)
    end
    redis.call('HDEL', key, 'need', 'why')
  elseif state == 'dead' then
    redis.call('ZREM', DEAD, id)
    leave_group(id, key)
  end
  return woken
end
-- Parks a job until its need is met.
local function park(id, key, text, need, why)
  become(key, 'parked', text)
  redis.call('HSET', key, 'need', need, 'why', why)
  redis.call('ZADD', PARKED, at, id)
  redis.call('ZADD', NEED .. need, at, id)
  redis.call('HINCRBY', NEEDS, need, 1)
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
-- Forgets a finished job whole.
local function forget(id, key)
  local body = redis.call('HGET', key, 'job')
  if body then
    -- Only the meta line is read; the arguments behind it may be anything.
    local line = string.match(body, '^[^\n]*\n([^\n]*)')
    -- A damaged job is forgotten like any other.
    local ok, meta = pcall(cjson.decode, line or '')
    if ok and type(meta) == 'table' and type(meta[2]) == 'string' then redis.call('ZREM', SUBJECTS, meta[2] .. '\0' .. id) end
  end
  -- Its id may come again, with a deadline of its own or none.
  redis.call('ZREM', EXPIRING, id)
  leave_group(id, key)
  redis.call('DEL', key)
end
