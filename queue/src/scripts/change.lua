-- Purpose: change jobs one after the other, as operators ask for it: cancel, reschedule,
--       re-prioritise, retry dead or parked jobs (also with other arguments), forget; and repair
--       a job by an event of the same identity.
-- KEYS: 1 control, 2 none
-- ARGV: 1 number of items (at most 128), then for each item: id, verb, two that
--       depend on the verb, and a history line ('' for none):
--       cancel: '', ''
--       reschedule: delay in ms (0 for now), ''
--       prioritise: class, ''
--       retry: `delay in ms act by whom` (0 for now; what is parked runs now), other arguments behind
--       the names of the steps that may run again (`length:name` each) and a `=`, or ''
--       repair: the state field that was read, version and arguments with a `=` between them
--       forget: ended before this long ago in ms, ''
--       waive: the remark (JSON), ''; note, own: the same
--       refuse: why an operation does not change the job, ''
--       Behind the items of an operation: its id, the number of its step, the state that a job must be
--       in ('' for any) and before when (ms) it must have come into it ('' for any), how long (ms) until
--       the next step, where the walk continues behind all items ('' for nowhere) and how many jobs it
--       has then examined; and for each item where the walk continues behind it, and how many were
--       examined
-- Returns: {verdict...}, fewer where the first jobs have CALL_BYTES: what it became (cancelled, cancelling, scheduled, ready,
--       forgotten, waived), or its state where that stays; or `is ` and the state in which that cannot be done, `is replaced`
--       where a dead job gave way to another, `is changed` where a job that is to be repaired
--       has another state field by now, `is stepped` where a completed step that other
--       arguments would repeat was not named, `is unexpected` where a job without an expectation is
--       to be waived, `is newer` where the job came into its state too late for the operation; or '' when
--       there is no such job. Or {`!`, state} where the operation does not run, or another process made
--       the step: then nothing is changed.
-- include: open, int, job, state, append_history, await, books, forget, forget_signal, group_act
-- include: kinds, moves, operation, put, replaced, since, take_out, unknown_member
local cx = open()
if cx.err then return cx end
local n = tonumber(ARGV[1])
local last = 1 + n * 5
local operation, only, before = ARGV[last + 1], ARGV[last + 3] or '', ARGV[last + 4] or ''
local expected = operation and last + 7 + n * 2 or last
if #ARGV ~= expected then
  return redis.error_reply('ARGS change: expected ' .. expected .. ' arguments, got ' .. #ARGV)
end
if operation then
  local known = redis.call('HMGET', OPERATION .. operation, 'state', 'seq')
  if known[1] ~= 'running' or known[2] ~= ARGV[last + 2] then return {'!', known[1] or ''} end
end
local WAITS = {scheduled = true, ready = true, parked = true}
local verdicts, wake = {}, false

-- Forgets a kept signal that would refute the outcome of a job again, unless jobs are still to end by it.
local function forget_refutation(key)
  local _, _, condition = terms_of(redis.call('HGET', key, 'await'))
  if condition and refutation_of(condition) and redis.call('HEXISTS', RELEASING, condition) == 0 then
    forget_signal(condition)
  end
end
-- Gives a dead job all its budgets for failures back, and drops its deadline, which would end it
-- again at once. Returns its body.
local function renew_budgets(key, body)
  forget_refutation(key)
  for _, counter in ipairs({'transient', 'throttled', 'permanent', 'unclear', 'timed_out', 'crashed',
    'expired', 'refuted', 'unconfirmed'}) do
    redis.call('HDEL', key, 'failed:' .. counter, 'first:' .. counter)
  end
  redis.call('HDEL', key, 'cancel', 'successor', 'await', 'outcome', 'operation')
  -- A wait that ran out of time begins again.
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local is_end, is_answer = string.sub(field, 1, 6) == 'until:', string.sub(field, 1, 7) == 'signal:'
    if is_end or is_answer and string.sub(redis.call('HGET', key, field), 1, 1) == 'T' then
      redis.call('HDEL', key, field)
    end
  end
  body = string.gsub(body, '^(%d+|%d)|[^|\n]*', '%1|')
  return body
end
-- The names in front of other arguments, and the arguments.
local function named_steps(text)
  local names, p = {}, 1
  while string.sub(text, p, p) ~= '=' do
    local digits = string.match(text, '^%d+', p)
    local from = p + #digits + 1
    p = from + tonumber(digits)
    names[string.sub(text, from, p - 1)] = true
  end
  return names, string.sub(text, p + 1)
end
-- The fields and the names of completed steps and of begun effects, which may have happened.
local function done_steps(key)
  local steps = {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local name = string.match(field, '^step:(.*)$') or string.match(field, '^begun:(.*)$')
    if name then steps[#steps + 1] = {field, name} end
  end
  return steps
end
local function has_other(key, names)
  for _, step in ipairs(done_steps(key)) do
    if not names[step[2]] then return true end
  end
  return false
end
local function arguments_of(body)
  return string.match(body, '^[^\n]*\n[^\n]*\n(.*)$')
end
-- Replaces the arguments and keeps the earlier ones. The results of done steps were made
-- from the earlier ones: they are set aside, and the steps run again. Returns the body, and the
-- number of the edit.
local function replace_args(key, body, args)
  local head, earlier = string.match(body, '^([^\n]*\n[^\n]*\n)(.*)$')
  local edit = redis.call('HINCRBY', key, 'edits', 1)
  redis.call('HSET', key, 'args:' .. int(edit), earlier or '')
  for _, step in ipairs(done_steps(key)) do
    redis.call('HSET', key, 'dropped:' .. int(edit) .. ':' .. step[2], redis.call('HGET', key, step[1]))
    redis.call('HDEL', key, step[1])
  end
  -- Builds that could not read the earlier arguments may read these.
  redis.call('HDEL', key, 'needed')
  return (head or '') .. args, edit
end
local function schedule(id, key, text, delay, lane, deadline)
  if delay > 0 then
    become(cx, key, 'scheduled', text)
    redis.call('ZADD', SCHEDULED, int(cx.now + delay), id)
    wake = true
    return 'scheduled'
  end
  become(cx, key, 'ready', text)
  put(cx, id, lane, run_by(cx, deadline))
  return 'ready'
end

-- Settles the expectation of a job, whose work continues. Returns the verdict and the history line.
local function waive(id, key, state, body, remark, line)
  local due, route, tenant = expectation_of(body)
  if due == '' then return 'is unexpected', line end
  local account = redis.call('HGET', key, 'account') or state == 'dead' and 'm' or WAITS[state] and 'o'
    or state == 'running' and 'o'
  if account == 'x' or account == 'y' then return 'waived', '' end
  -- An outcome in parts keeps its account.
  if not account or account == 'p' then return 'is ' .. state, line end
  local to = account == 'm' and 'x' or 'y'
  redis.call('HSET', key, 'account', to, 'waived', remark)
  move_expectation(cx, id, route, account, to, due, tenant)
  move(cx, 'waived', id)
  return 'waived', line
end

for i = 0, n - 1 do
  if cx.read >= CALL_BYTES then break end
  local p = 2 + i * 5
  local id, verb, first, second, line = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3], ARGV[p + 4]
  local key = JOB .. id
  local job = fields_of(key, 'job', 'state')
  local verdict = ''
  if job[1] then
    local body, text = job[1], job[2]
    local state = state_of(text)
    cx.read = cx.read + #body
    local _, flow, class, deadline = header(body)
    verdict = 'is ' .. state
    -- An earlier item of this call may have made the job ready: puts it into its lane.
    wake = put_all(cx) or wake
    if verb == 'refuse' then
      verdict = 'is ' .. first
    elseif only ~= '' and state ~= only then
      verb = ''
    elseif before ~= '' and since_of(text, body) >= tonumber(before) then
      verb, verdict = '', 'is newer'
    end
    if verb == 'cancel' and WAITS[state] then
      wake = take_out(cx, id, key, state, body, flow, class) or wake
      become(cx, key, 'cancelled', text)
      redis.call('ZADD', CANCELLED, cx.at, id)
      end_cause(cx, id, key, 'cancelled')
      end_expectation(cx, id, key, body, 'c')
      move(cx, 'cancelled', id)
      verdict = 'cancelled'
    elseif verb == 'cancel' and state == 'running' then
      -- Two requests are published twice, and noted once.
      local is_first = redis.call('HSETNX', key, 'cancel', cx.at) == 1
      if not is_first then line = '' end
      redis.call('PUBLISH', CANCELS, id)
      verdict = (is_first or not operation) and 'cancelling' or 'is cancelling'
    elseif verb == 'reschedule' and state == 'ready' and tonumber(first) == 0
      or verb == 'prioritise' and WAITS[state] and first == class then
      -- Nothing changes, and the job keeps its position.
      verdict, line = state, ''
    elseif verb == 'reschedule' and (state == 'scheduled' or state == 'ready') then
      wake = take_out(cx, id, key, state, body, flow, class) or wake
      verdict = schedule(id, key, text, tonumber(first), class .. ':' .. flow, deadline)
      move(cx, 'rescheduled', id)
    elseif verb == 'prioritise' and WAITS[state] then
      if state == 'ready' then wake = take_out(cx, id, key, state, body, flow, class) or wake end
      local condition = state == 'parked' and redis.call('HGET', key, 'need')
      local unknown = condition and kind_of_condition(condition)
      if unknown then
        add_unknown(cx, unknown, unknown_member(id, body, first, flow))
        remove_unknown(cx, unknown, unknown_member(id, body, class, flow))
      end
      body = string.gsub(body, '^(%d+)|%d|', '%1|' .. first .. '|')
      -- A job with a history needs a state, or a claim would not read the history.
      redis.call('HSET', key, 'job', body, 'state', text or 'ready ' .. string.match(body, '^%d+'))
      if state == 'ready' then put(cx, id, first .. ':' .. flow, run_by(cx, deadline)) end
      move(cx, 'prioritised', id)
      verdict = state
    elseif verb == 'retry' and state == 'dead' and is_replaced(key) then
      verdict = 'is replaced'
    elseif verb == 'retry' and (state == 'dead' or state == 'parked') then
      local delay, act, by = string.match(first, '^(%d+) (%S+) (.*)$')
      local names, args = {}, nil
      if second ~= '' then names, args = named_steps(second) end
      -- Arguments of the same bytes are not other arguments.
      if args == arguments_of(body) then args = nil end
      if args and has_other(key, names) then
        verdict = 'is stepped'
      else
        local cause = redis.call('HGET', key, 'group')
        take_out(cx, id, key, state, body, flow, class)
        if state == 'dead' then
          reopen_expectation(cx, id, key, body)
          body, deadline = renew_budgets(key, body), ''
          if cause then begin_act(cx, key, cause, act, by) end
        else
          leave_await(cx, id, key, body, deadline)
          delay = '0'
        end
        if args then body = replace_args(key, body, args) end
        if body ~= job[1] then redis.call('HSET', key, 'job', body) end
        verdict = schedule(id, key, text, tonumber(delay), class .. ':' .. flow, deadline)
        move(cx, state == 'dead' and 'revived' or 'unparked', id)
        if operation then redis.call('HSET', key, 'operation', operation) end
      end
    elseif verb == 'repair' and (text or '') ~= first then
      verdict = 'is changed'
    elseif verb == 'repair' and state == 'dead' and is_replaced(key) then
      verdict = 'is replaced'
    elseif verb == 'repair' and (state == 'dead' or state == 'parked') then
      take_out(cx, id, key, state, body, flow, class)
      if state == 'dead' then
        reopen_expectation(cx, id, key, body)
        body, deadline = renew_budgets(key, body), ''
      end
      local version, args = string.match(second, '^(%d+)=(.*)$')
      local edit
      body, edit = replace_args(key, body, args)
      -- The arguments' version is part of the head line.
      body = string.gsub(body, '^(%d+|%d|[^|\n]*|[^|\n]*|[^|\n]*|)%d*|', '%1' .. version .. '|')
      local repairs = redis.call('HGET', key, 'repairs')
      redis.call('HSET', key, 'job', body, 'repairs', repairs and repairs .. ' ' .. int(edit) or int(edit))
      verdict = schedule(id, key, text, 0, class .. ':' .. flow, deadline)
      move(cx, 'repaired', id)
    elseif verb == 'forget' and (state == 'dead' or state == 'succeeded' or state == 'cancelled')
      and tonumber(string.match(text, '^%a+ (%d+)') or '0') <= cx.now - tonumber(first) then
      -- The stream entry of a succeeded job stays: removing it would mean searching the stream.
      if state == 'succeeded' then
        redis.call('HINCRBY', CONTROL, 'succeeded', -1)
      else
        redis.call('ZREM', state == 'dead' and DEAD or CANCELLED, id)
      end
      forget(cx, id, key, true)
      move(cx, 'forgotten', id)
      verdict, line = 'forgotten', ''
    elseif verb == 'waive' then
      verdict, line = waive(id, key, state, body, first, line)
    elseif verb == 'note' or verb == 'own' then
      redis.call('HSET', key, verb == 'note' and 'note' or 'owner', first)
      redis.call('PUBLISH', CHANGES, id)
      verdict = state
    end
    if line ~= '' and string.sub(verdict, 1, 3) ~= 'is ' then append_history(key, line) end
  end
  verdicts[#verdicts + 1] = verdict
end
wake = put_all(cx) or wake or cx.reservation_ended and cx.some_unknown
tell(cx, '')
if wake then redis.call('PUBLISH', WAKE, cx.at) end
if operation then
  local key, changed, refused = OPERATION .. operation, 0, {}
  for i, verdict in ipairs(verdicts) do
    if verdict == '' or string.sub(verdict, 1, 3) == 'is ' then
      refused[#refused + 1] = ARGV[i * 5 - 3] .. ' ' .. (verdict == '' and 'unknown' or string.sub(verdict, 4))
    else
      changed = changed + 1
    end
  end
  redis.call('HINCRBY', key, 'changed', changed)
  if refused[1] then
    redis.call('HINCRBY', key, 'refused', #refused)
    redis.call('LPUSH', REFUSALS .. operation, unpack(refused))
    redis.call('LTRIM', REFUSALS .. operation, 0, KEPT_REFUSALS - 1)
  end
  local behind = #verdicts == n and last + 6 or last + 6 + #verdicts * 2
  redis.call('HSET', key, 'next', int(cx.now + tonumber(ARGV[last + 5])))
  if store_step(operation, ARGV[last + 2], ARGV[behind], ARGV[behind + 1]) then enter(cx, operation, 'done') end
end
return verdicts
