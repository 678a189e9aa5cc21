-- Outcomes that await their proof. The handler has ended, its outcome is stored, and the job is parked
-- for the condition of a signal, which ends the job without a run. The field `await` of a job is `what
-- silence means (m missed, a achieved, r the handler runs again)|since when (ms)|how long, for
-- people|condition`. It stays when the job ends. `silent` is the condition whose silence ended the job,
-- and `silent:CONDITION` lists these jobs: a confirmation that comes late still finds them.
-- include: append_history, books, bury, clocks, group, group_act, int, job, moves, park, signals, state, watch_deadline

-- What silence means for a job, how long that is, for people, and the condition; nil for a job that
-- awaits nothing.
local function terms_of(await) return string.match(await or '', '^(%a)|%d+|([^|]*)|(.*)$') end
-- What the signal that is kept for a condition says against the work: its reason and the same
-- normalised, or two times false.
local function refutation_of(condition)
  local said = redis.call('HMGET', SIGNAL .. condition, 'reason', 'normal')
  return said[1], said[2]
end
local function succeed_awaited(cx, id, key, body, text)
  local due = expectation_of(body)
  become(cx, key, 'succeeded', text)
  end_cause(cx, id, key, 'succeeded')
  end_expectation(cx, id, key, body, due ~= '' and cx.now > tonumber(due) and 'l' or 't')
  redis.call('XADD', SUCCEEDED, '*', cx.at, id)
  redis.call('HINCRBY', CONTROL, 'succeeded', 1)
  count_clock(cx, key, body)
  move(cx, 'confirmed', id)
end
local function fail_awaited(cx, id, key, body, text, class, normal, said)
  local kind = header(body)
  append_history(key, cjson.encode({at = cx.now, attempt = 0, class = class, message = said}))
  redis.call('HINCRBY', key, 'failed:' .. class, 1)
  bury(cx, id, key, body, text, kind, class, normal, said)
  move(cx, class, id)
end
-- Notes that a job took the signal that is kept for a condition.
local function take_signal(id, key, condition)
  local kept = redis.call('HMGET', SIGNAL .. condition, 'at', 'payload')
  redis.call('HSET', key, 'signal:' .. condition, 'S' .. kept[1] .. ' ' .. kept[2])
  redis.call('HSET', SIGNAL .. condition, 'job', id)
  redis.call('HDEL', key, 'until:' .. condition)
end
-- Ends a job by the signal that is kept for its condition. The job must be in no index.
local function confirm(cx, id, key, body, text, condition)
  local reason, normal = refutation_of(condition)
  take_signal(id, key, condition)
  if reason then
    fail_awaited(cx, id, key, body, text, 'refuted', normal, reason)
  else
    append_history(key, cjson.encode({at = cx.now, did = 'confirmed', note = condition}))
    succeed_awaited(cx, id, key, body, text)
  end
end
-- Parks a job whose handler is done until the condition has its signal, or ends it by a signal that is
-- kept. `terms` is `how long (ms)|what silence means|how long, for people|bytes of why|why` and the
-- outcome.
local function await(cx, id, key, body, text, condition, terms)
  local within, silence, shown, bytes, from = string.match(terms, '^(%d+)|(%a)|([^|]*)|(%d+)|()')
  local due, route, tenant = expectation_of(body)
  local ends = int(cx.now + within)
  -- The answer is of an earlier attempt.
  redis.call('HDEL', key, 'signal:' .. condition, 'silent')
  redis.call('HSET', key, 'outcome', string.sub(terms, from + bytes), 'until:' .. condition, ends,
    'await', silence .. '|' .. cx.at .. '|' .. shown .. '|' .. condition)
  -- The work is done, whatever failed before.
  leave_cause(cx, id, key)
  -- The work is done, so the deadline by which it had to begin says nothing.
  redis.call('ZREM', EXPIRING, id)
  if redis.call('HSETNX', key, 'account', 'w') == 1 then move_expectation(cx, id, route, 'o', 'w', due, tenant) end
  move(cx, 'parked', id)
  if payload_of(condition) then
    confirm(cx, id, key, body, text, condition)
  else
    park(cx, id, key, body, text, condition, string.sub(terms, from, from + bytes - 1), tonumber(ends), 'c')
  end
end
-- Takes back what a job awaits, because its handler runs again.
local function leave_await(cx, id, key, body, deadline)
  if redis.call('HDEL', key, 'await', 'outcome') == 0 then return end
  watch_deadline(id, deadline)
  local due, route, tenant = expectation_of(body)
  if redis.call('HGET', key, 'account') ~= 'w' then return end
  redis.call('HDEL', key, 'account')
  move_expectation(cx, id, route, 'w', 'o', due, tenant)
end
-- Ends a job for whose condition no signal came. The job must be in no index.
local function lapse(cx, id, key, body, text, silence, shown, condition)
  redis.call('HSET', key, 'signal:' .. condition, 'T' .. cx.at, 'silent', condition)
  redis.call('HDEL', key, 'until:' .. condition)
  redis.call('ZADD', SILENT .. condition, cx.at, id)
  if silence == 'a' then
    append_history(key, cjson.encode({at = cx.now, did = 'waited', note = condition}))
    succeed_awaited(cx, id, key, body, text)
  else
    local name = string.match(condition, '^wait (.*)$') or string.match(condition, '|(.*)$') or condition
    local within = ' came within ' .. shown
    -- Jobs of one cause stand in one group, however long each of them waited.
    fail_awaited(cx, id, key, body, text, 'unconfirmed', 'no confirmation came in time',
      'no confirmation `' .. name .. '`' .. within)
  end
end
-- Gives the signal that is kept for a condition to jobs whose silence counted, some at a time. Silence
-- that counted as missed is healed by a confirmation, unless an operator has settled the outcome. What
-- contradicts the verdict only leaves a line in the history. Returns how many jobs were looked at, and
-- how many ended.
local function hear(cx, condition, bound)
  local looked, ended, reason = 0, 0, refutation_of(condition)
  for _, id in ipairs(bound > 0 and redis.call('ZRANGE', SILENT .. condition, 0, bound - 1) or {}) do
    if cx.read >= CALL_BYTES then break end
    looked = looked + 1
    local key = JOB .. id
    local job = fields_of(key, 'job', 'state', 'silent', 'account')
    redis.call('ZREM', SILENT .. condition, id)
    if job[1] and job[3] == condition then
      local body, is_dead = job[1], state_of(job[2]) == 'dead'
      cx.read = cx.read + #body
      -- What an operator settled stays settled.
      if is_dead and not reason and job[4] ~= 'x' then
        redis.call('ZREM', DEAD, id)
        leave_group(cx, id, key)
        reopen_expectation(cx, id, key, body)
        confirm(cx, id, key, body, job[2], condition)
        ended = ended + 1
      else
        local contradicts = reason and not is_dead
        redis.call('HDEL', key, 'silent')
        redis.call('HSET', SIGNAL .. condition, 'job', id)
        append_history(key, cjson.encode({
          at = cx.now, did = contradicts and 'contradicted' or reason and 'refuted' or 'confirmed', note = condition,
        }))
        if contradicts then
          cx.contradicted = true
          redis.call('HINCRBY', STATS, 'signal_contradictions', 1)
        end
        redis.call('PUBLISH', CHANGES, id)
      end
    end
  end
  return looked, ended
end
