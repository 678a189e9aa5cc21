-- Purpose: end a batch of attempts. Each is fenced: it is refused where the token or worker is
--       not the job's current one, or the job does not run.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 number of groups of successes; each group is: flow, number of the route (0 for
--       none), by when the first of the outcomes was expected in ms (0 for none), number of arguments of
--       an item (1 to 3), number of items, and of each item the first of
--       id; token (1 if left out); outcome JSON (null if left out);
--       then the number of other ends, and for each:
--       id, token, flow, verb, and three that depend on the verb:
--       retry: `delay in ms|normalised message`, failure class, history line
--       bury: normalised message, failure class, history line
--       snooze: delay in ms, '', history line (the attempt does not count)
--       release: '', '', history line or '' (the attempt does not count)
--       cancel: '', '', history line
--       park: condition, `how long to wait in ms|why` (an empty length for ever), history line
--       (the attempt does not count). A signal that is kept for the condition makes the job
--       ready at once
--       partly: outcome JSON, '', '' (a part of the work came out right; the job succeeds)
--       await: condition, `how long (ms)|what silence means|how long, for people|bytes of why|why` and
--       the outcome (see include/await.lua), history line. A signal that is kept for the condition ends
--       the job at once
--       There are at most 192 ends in all.
-- Returns: {now ms, place...}, the places of the ends that were refused, counted from 1, successes
--       first.
-- include: open, int, job, fence, state, append_history, await, books, bury, free, group, group_act, leases, moves, park
-- include: put, recur, signals, watch_deadline
local cx = open()
if cx.err then return cx end
local worker, groups = ARGV[1], tonumber(ARGV[2])
local behind, place = 3, 0
for _ = 1, groups do
  behind = behind + 5 + (ARGV[behind + 3] or 0) * (ARGV[behind + 4] or 0)
end
local others = tonumber(ARGV[behind] or '')
if not others or #ARGV ~= behind + others * 7 then
  return redis.error_reply('ARGS complete: ' .. #ARGV .. ' arguments do not fit ' .. groups ..
    ' groups of successes and the other ends')
end
local reply, scheduled, cancelled, wakes = {cx.now}, {}, {}, false
local function refuse() reply[#reply + 1] = place end
local function add(list, score, id)
  list[#list + 1] = score
  list[#list + 1] = id
end

-- Most attempts succeed, and most jobs of a batch were claimed together. Their states are the
-- same text, so what follows from it is computed once.
local attempts = {}
local function attempt_in(text)
  local attempt = attempts[text]
  if attempt == nil then
    local token, by = string.match(text, '^running (%d+) (%S+) ')
    attempt = by == worker
      and {token = token, claim = claim_of(text), ended = 0, succeeded = 'succeeded ' .. cx.at .. attempt_of(text)}
    attempts[text] = attempt
  end
  return attempt
end
local succeeded, count, whole = {}, 0, false
local p = 3
for _ = 1, groups do
  local flow, route, first_due, width, items = ARGV[p], ARGV[p + 1], tonumber(ARGV[p + 2]), tonumber(ARGV[p + 3]),
    tonumber(ARGV[p + 4])
  -- Mostly all are in time.
  local some_late = first_due > 0 and cx.now > first_due
  local last, first, in_time, tenant = nil, nil, {}, nil
  p = p + 5
  for _ = 1, items do
    local id, token, outcome = ARGV[p], '1', 'null'
    if width > 1 then token = ARGV[p + 1] end
    if width > 2 then outcome = ARGV[p + 2] end
    local key = JOB .. id
    local fields = fields_of(key, 'state', 'account')
    local attempt = attempt_in(fields[1] or '')
    place = place + 1
    if attempt and attempt.token == token then
      -- A job that succeeded without an outcome has `null`.
      if outcome == 'null' then
        redis.call('HSET', key, 'state', attempt.succeeded)
      else
        redis.call('HSET', key, 'state', attempt.succeeded, 'outcome', outcome)
      end
      local account, due = fields[2], ''
      -- Only such a job can have failed before.
      if account or token ~= '1' then end_cause(cx, id, key, 'succeeded') end
      if account or some_late then due = expectation_of(field_of(key, 'job') or '') end
      local is_late = due ~= '' and cx.now > tonumber(due)
      if account or is_late then
        local to = is_late and 'l' or 't'
        if account == 'y' then
          to = 'x'
          redis.call('HSET', key, 'account', to)
        elseif account then
          redis.call('HDEL', key, 'account')
        end
        tenant = tenant or string.match(flow, '^[^|]*')
        move_expectation(cx, id, route, account or 'o', to, due, tenant)
      else
        in_time[#in_time + 1] = id
      end
      if cx.limited and attempt ~= last then
        if last then free(cx, succeeded, first, count, flow, last.claim) end
        last, first = attempt, count + 1
      end
      count = count + 1
      succeeded[count] = id
      attempt.ended = attempt.ended + 1
    else
      refuse()
    end
    p = p + width
  end
  if last then free(cx, succeeded, first, count, flow, last.claim) end
  if in_time[1] then
    -- Mostly these are all successes of the call.
    whole = groups == 1 and #in_time == count and table.concat(in_time, ' ')
    achieve_in_time(cx, route, tenant or string.match(flow, '^[^|]*'), in_time, whole)
  end
end
if count > 0 then
  -- No script looks for one succeeded job, so one stream entry a call is enough.
  for _, attempt in pairs(attempts) do
    if attempt and attempt.ended > 0 then stops(cx, attempt.claim, attempt.ended) end
  end
  local ids = whole or table.concat(succeeded, ' ')
  redis.call('XADD', SUCCEEDED, '*', cx.at, ids)
  redis.call('HINCRBY', CONTROL, 'succeeded', count)
  move_all(cx, 'succeeded', succeeded, ids)
end

-- The exact message of a history line.
local function said_in(line, normal)
  local ok, said = pcall(cjson.decode, line)
  return ok and said.message or normal
end

for i = 0, others - 1 do
  p = behind + 1 + i * 7
  place = place + 1
  local id, token, flow, verb = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3]
  local first, second, line = ARGV[p + 4], ARGV[p + 5], ARGV[p + 6]
  local key = JOB .. id
  local held = fields_of(key, 'state', 'cancel', 'job')
  local text = held[1]
  if not is_held(text, fence_of(token, worker)) then
    refuse()
  else
    local kind, _, class, deadline = header(held[3] or '')
    stops(cx, claim_of(text), 1)
    free(cx, {id}, 1, 1, flow, claim_of(text))
    if line ~= '' then append_history(key, line) end
    if verb == 'retry' or verb == 'bury' then
      redis.call('HINCRBY', key, 'failed:' .. second, 1)
      -- A time in the future comes from a clock that was set back since.
      local before = redis.call('HGET', key, 'first:' .. second)
      if not before or tonumber(before) > cx.now then redis.call('HSET', key, 'first:' .. second, cx.at) end
    elseif verb ~= 'cancel' and verb ~= 'await' and verb ~= 'partly' then
      redis.call('HINCRBY', key, 'released', 1)
    end
    if verb == 'partly' then
      become(cx, key, 'succeeded', text)
      redis.call('HSET', key, 'outcome', first)
      end_cause(cx, id, key, 'succeeded')
      end_expectation(cx, id, key, held[3] or '', 'p')
      redis.call('HSETNX', key, 'account', 'p')
      redis.call('XADD', SUCCEEDED, '*', cx.at, id)
      redis.call('HINCRBY', CONTROL, 'succeeded', 1)
      move(cx, 'partial', id)
    elseif held[2] or verb == 'cancel' then
      -- A cancelled job ends as cancelled, unless it succeeded.
      become(cx, key, 'cancelled', text)
      add(cancelled, cx.at, id)
      end_cause(cx, id, key, 'cancelled')
      end_expectation(cx, id, key, held[3] or '', 'c')
      move(cx, 'cancelled', id)
    elseif verb == 'retry' or verb == 'snooze' then
      watch_deadline(id, deadline)
      local delay, normal = string.match(first, '^(%d+)|?(.*)$')
      -- A snooze is a wait that the handler chose.
      become(cx, key, 'scheduled', text, verb == 'snooze' and 'p' or nil)
      add(scheduled, int(cx.now + tonumber(delay)), id)
      if verb == 'retry' then
        join_group(cx, id, key, held[3] or '', false, kind, second, normal, said_in(line, normal))
        recur(cx, key, second, kind, normal)
      end
      move(cx, verb == 'retry' and 'retried' or 'snoozed', id)
    elseif verb == 'bury' then
      bury(cx, id, key, held[3] or '', text, kind, second, first, said_in(line, first))
      move(cx, 'dead', id)
    elseif verb == 'await' then
      await(cx, id, key, held[3] or '', text, first, second)
    elseif verb == 'park' then
      watch_deadline(id, deadline)
      local within, why = string.match(second, '^(%d*)|(.*)$')
      local answered = is_answered(key, first)
      local ends = wait_end(cx, key, first, answered and '' or within or '')
      local payload = not answered and payload_of(first)
      move(cx, 'parked', id)
      if payload or ends and ends <= cx.now then
        answer_wait(cx, id, key, text, class .. ':' .. flow, first, payload, '0')
      else
        wakes = park(cx, id, key, held[3] or '', text, first, why or second, ends) or wakes
      end
    else
      -- Handed back: it runs next.
      watch_deadline(id, deadline)
      become(cx, key, 'ready', text)
      put(cx, id, class .. ':' .. flow, '0')
      move(cx, 'released', id)
    end
  end
end
end_leases(cx)
if #scheduled > 0 then redis.call('ZADD', SCHEDULED, unpack(scheduled)) end
if #cancelled > 0 then redis.call('ZADD', CANCELLED, unpack(cancelled)) end
local woken = free_all(cx)
local put_back = put_all(cx)
if #reply > 1 then redis.call('HINCRBY', STATS, 'refused', #reply - 1) end
tell(cx, worker)
if put_back or woken or wakes or #scheduled > 0 then redis.call('PUBLISH', WAKE, cx.at) end
return reply
