-- Purpose: do what is due, whichever worker asks: promote scheduled jobs, reclaim jobs whose
--       lease expired, end jobs whose deadline passed, make parked jobs ready whose wait ran out
--       of time, end those for whose outcome no confirmation came, and let lanes in for which a limit has a token again. Each at most MAX_BATCH a
--       call, or CALL_BYTES; one lease is reclaimed in any case. It is sent in front of a claim.
--       A repeated call does what is left.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 how many jobs the claim behind this call asks for (0 where none follows),
--       3 what follows from a crash: `crashes that a job survives, the shortest wait, the longest
--       wait after the first crash, after the second...` (ms), 4 a random number (0 to 1) that
--       spreads these waits; then pairs of a kind and what follows from a crash of its jobs,
--       for kinds that differ
-- Returns: {now ms, jobs reclaimed, those of them that are dead now}
-- include: open
local opened = open()
if opened.err then return opened end
local function first_entries(index, most)
  return redis.call('ZRANGE', index, '-inf', opened.at, 'BYSCORE', 'LIMIT', '0', most)
end
local ripe, lost = first_entries(SCHEDULED, MAX_BATCH), first_entries(RUNNING, MAX_BATCH)
local late, paced = first_entries(EXPIRING, MAX_BATCH), opened.limited and first_entries(PACED, LANES_LET_IN) or {}
-- Mostly nothing is due. The functions below are not even created then.
if not (ripe[1] or lost[1] or late[1] or paced[1]) then return {opened.now, 0, 0} end
-- include: int, job, state, append_history, await, books, bury, expire, free, group, group_act, leave_need, moves, put
-- include: release_lanes, signals, take_out, watch_deadline

local cx = opened
local worker, wanted = ARGV[1], tonumber(ARGV[2])
local wake = false

-- Promote.
local promoted = {}
for i, id in ipairs(ripe) do
  -- Jobs behind large ones are left to the next call.
  if cx.read >= CALL_BYTES then break end
  promoted[i] = id
  -- An index entry without a job (deleted manually) is dropped, here and below.
  local job = fields_of(JOB .. id, 'job', 'state')
  if job[1] then
    cx.read = cx.read + #job[1]
    local _, flow, class, deadline = header(job[1])
    become(cx, JOB .. id, 'ready', job[2])
    local place = run_by(cx, deadline, i)
    -- A job that ran before has its turn by when it was enqueued.
    if deadline == '' and attempt_of(job[2]) ~= '' then place = int(enqueued_ms(job[1]) * 1000 + PATIENCE_US) end
    put(cx, id, class .. ':' .. flow, place)
    move(cx, 'promoted', id)
  end
end
if #promoted > 0 then redis.call('ZREM', SCHEDULED, unpack(promoted)) end
local is_cut = cx.read >= CALL_BYTES

-- Reclaim.
local reclaimed, dead, waiting = 0, 0, {}
if lost[1] then
  local CRASHED = 'the lease expired: the worker stopped renewing it'
  local spread = tonumber(ARGV[4])
  -- What follows from a crash of a job of this kind, as numbers.
  local function rule_of(kind)
    local text, rule = ARGV[3], {}
    for i = 5, #ARGV, 2 do
      if ARGV[i] == kind then text = ARGV[i + 1] end
    end
    for number in string.gmatch(text, '%d+') do rule[#rule + 1] = tonumber(number) end
    return rule
  end
  -- The wait after so many crashes. The waits of one call are spread over the whole range:
  -- steps of the golden ratio lie far apart, however many there are.
  local function wait_after(rule, crashes)
    spread = (spread + 0.6180339887) % 1
    return math.max(rule[2], math.floor((rule[math.min(#rule, 2 + crashes)] or 0) * spread))
  end
  local function reclaim(claim, id)
    local key = JOB .. id
    local job = fields_of(key, 'state', 'released', 'cancel')
    local text = job[1]
    local body = state_of(text) == 'running' and claim_of(text) == claim and redis.call('HGET', key, 'job')
    if not body then return end
    cx.read = cx.read + #body
    local kind, flow, class, deadline = header(body)
    local token, by, began = string.match(attempt_of(text), '^ (%d+) (%S+) (%d+)')
    local crashes, rule = redis.call('HINCRBY', key, 'failed:crashed', 1), rule_of(kind)
    append_history(key, cjson.encode({
      at = cx.now, attempt = (token or 0) - (job[2] or 0), class = 'crashed', worker = by,
      began = tonumber(began), message = CRASHED,
    }))
    free(cx, {id}, 1, 1, flow, claim)
    move(cx, 'crashed', id)
    reclaimed = reclaimed + 1
    if job[3] then
      become(cx, key, 'cancelled', text)
      redis.call('ZADD', CANCELLED, cx.at, id)
      end_cause(cx, id, key, 'cancelled')
      end_expectation(cx, id, key, body, 'c')
      move(cx, 'cancelled', id)
    elseif crashes > rule[1] then
      bury(cx, id, key, body, text, kind, 'crashed', CRASHED, CRASHED)
      move(cx, 'dead', id)
      dead = dead + 1
    else
      watch_deadline(id, deadline)
      join_group(cx, id, key, body, false, kind, 'crashed', CRASHED, CRASHED)
      local wait = wait_after(rule, crashes)
      if wait > 0 then
        become(cx, key, 'scheduled', text)
        waiting[#waiting + 1] = int(cx.now + wait)
        waiting[#waiting + 1] = id
      else
        become(cx, key, 'ready', text)
        -- A job that lost its worker goes before those that never started.
        put(cx, id, class .. ':' .. flow, '0')
      end
    end
  end
  local examined, left = 0, 0
  cx.read = 0
  for _, claim in ipairs(lost) do
    local lease = fields_of(LEASE .. claim, 'ids', 'left')
    -- The first lease is reclaimed whole, whatever its size: a claim bounded it.
    if examined > 0 and (examined + (lease[2] or 0) > MAX_BATCH or cx.read >= CALL_BYTES) then break end
    for id in string.gmatch(lease[1] or '', '%S+') do
      reclaim(tonumber(claim), id)
      examined = examined + 1
    end
    -- Also counts jobs that were deleted manually.
    left = left + (lease[2] or 0)
    redis.call('DEL', LEASE .. claim)
    redis.call('ZREM', RUNNING, claim)
  end
  if left > 0 then cx.running, cx.n_over = redis.call('HINCRBY', CONTROL, 'running', int(-left)), left end
  is_cut = is_cut or cx.read >= CALL_BYTES
  -- Other workers may sleep for want of the room that is free now.
  if reclaimed > 0 and free_all(cx) then wake = true end
  if #waiting > 0 then redis.call('ZADD', SCHEDULED, unpack(waiting)) end
end

-- What is late: `wait ID` of parked jobs that waited for their condition for long enough, and ids
-- of jobs whose deadline passed. The deadlines of the reclaimed jobs are watched again.
if lost[1] then late = first_entries(EXPIRING, MAX_BATCH) end
local ended = {}
cx.read = 0
-- The body of a late job that is in one of the states; nil where nothing is to be done now. Jobs
-- behind large ones are left to the next call.
local function body_of(member, key, states)
  -- A job that was deleted or damaged by hand has no state: its entry is dropped.
  local text = field_of(key, 'state')
  local waits = states[state_of(text)]
  if waits and cx.read >= CALL_BYTES then return nil end
  ended[#ended + 1] = member
  local body = waits and field_of(key, 'job')
  cx.read = cx.read + (body and #body or 0)
  return body or nil, text
end
local is_watched_again = false
for _, member in ipairs(late) do
  local id = string.match(member, '^wait (.*)$')
  local key = id and JOB .. id
  local body, text
  if id then body, text = body_of(member, key, {parked = true}) end
  if body then
    local _, flow, class, deadline = header(body)
    -- The entry may be of an earlier wait. Only the job knows whether its wait ends, and when.
    local condition = redis.call('HGET', key, 'need')
    local ends = condition and not is_answered(key, condition)
      and tonumber(redis.call('HGET', key, 'until:' .. condition) or '')
    if ends and ends > cx.now then
      redis.call('ZADD', EXPIRING, int(ends), member)
      ended[#ended] = nil
    elseif ends then
      leave_need(cx, id, key, body, flow, class)
      local silence, shown = terms_of(redis.call('HGET', key, 'await'))
      if silence and payload_of(condition) then
        -- The release of the jobs that wait for it has not come to this job yet.
        confirm(cx, id, key, body, text, condition)
      elseif silence and silence ~= 'r' then
        lapse(cx, id, key, body, text, silence, shown, condition)
      else
        if silence then
          leave_await(cx, id, key, body, deadline)
          is_watched_again = true
        end
        answer_wait(cx, id, key, text, class .. ':' .. flow, condition, false, run_by(cx, deadline))
      end
    end
  end
end
-- The jobs that were made ready are in their lanes before deadlines end them.
wake = put_all(cx) or #waiting > 0 or wake
if is_watched_again then late = first_entries(EXPIRING, MAX_BATCH) end
for _, id in ipairs(late) do
  local key = JOB .. id
  local body, text
  if not string.find(id, ' ', 1, true) then
    body, text = body_of(id, key, {ready = true, scheduled = true, parked = true})
  end
  if body then
    local kind, flow, class, deadline = header(body)
    if deadline ~= '' then
      if take_out(cx, id, key, state_of(text), body, flow, class) then wake = true end
      expire(cx, id, key, body, text, kind, parse_deadline(deadline))
    end
  end
end
if #ended > 0 then redis.call('ZREM', EXPIRING, unpack(ended)) end

for _, key in ipairs(paced) do
  redis.call('ZREM', PACED, key)
  if release_lanes(cx, key) then wake = true end
end

tell(cx, worker)
-- The claim behind this call takes what became ready, unless it gets enough without it.
if wake and not (is_cut or cx.paused or cx.some_unknown or wanted == 0) then
  local ready, n = redis.call('HMGET', CONTROL, 'ready:0', 'ready:1', 'ready:2', 'ready:3'), 0
  for class = 1, CLASSES do n = n + (tonumber(ready[class]) or 0) end
  wake = n >= wanted
end
if wake or cx.reservation_ended and cx.some_unknown then redis.call('PUBLISH', WAKE, cx.at) end
return {cx.now, reclaimed, dead}
