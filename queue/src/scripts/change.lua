-- Purpose: what people do to jobs, one after the other: cancel, reschedule,
--       re-prioritise, retry what is dead (with other arguments too), forget.
-- KEYS: 1 control
-- ARGV: 1 number of items (at most 128), then for each item: id, verb, two that
--       depend on the verb, and a history line ('' for none):
--       cancel: '', ''
--       reschedule: delay in ms (0 for now), ''
--       prioritise: class, ''
--       retry: delay in ms (0 for now), other arguments behind a `=`, or ''
--       forget: ended before this long ago in ms, ''
-- Returns: {verdict...}: what it became (cancelled, cancelling, scheduled, ready,
--       forgotten); or `is ` and the state in which that cannot be done; or '' when
--       there is no such job.
local n = tonumber(ARGV[1])
if #ARGV ~= 1 + n * 5 then
  return redis.error_reply('ARGS change: expected ' .. (1 + n * 5) .. ' arguments, got ' .. #ARGV)
end
local WAITS = {scheduled = true, ready = true, parked = true}
local verdicts, wake = {}, false

local function schedule(id, key, delay, class, flow)
  if delay > 0 then
    redis.call('HSET', key, 'state', 'scheduled', 'since', at)
    redis.call('ZADD', SCHEDULED, int(now + delay), id)
    wake = true
    return 'scheduled'
  end
  redis.call('HSET', key, 'state', 'ready', 'since', at)
  put(id, class, flow, run_by(redis.call('HGET', key, 'deadline')))
  return 'ready'
end

for i = 0, n - 1 do
  local p = 2 + i * 5
  local id, verb, first, second, line = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3], ARGV[p + 4]
  local key = JOB .. id
  local job = redis.call('HMGET', key, 'job', 'state', 'class', 'since')
  local verdict = ''
  if job[1] then
    local state = job[2] or 'ready'
    local _, flow = header(job[1])
    local class = job[3] or NORMAL
    verdict = 'is ' .. state
    -- An earlier item of this call may have made it ready; it is in its lane then.
    if #pending_lanes > 0 then wake = put_all() or wake end
    if verb == 'cancel' and WAITS[state] then
      wake = take_out(id, key, state, flow) or wake
      redis.call('HSET', key, 'state', 'cancelled', 'since', at)
      redis.call('ZADD', CANCELLED, at, id)
      move('cancelled', id)
      verdict = 'cancelled'
    elseif verb == 'cancel' and state == 'running' then
      redis.call('HSET', key, 'cancel', at)
      redis.call('PUBLISH', CANCELS, id)
      verdict = 'cancelling'
    elseif verb == 'reschedule' and (state == 'scheduled' or state == 'ready') then
      wake = take_out(id, key, state, flow) or wake
      verdict = schedule(id, key, tonumber(first), class, flow)
      move('rescheduled', id)
    elseif verb == 'prioritise' and WAITS[state] then
      if state == 'ready' then wake = take_out(id, key, state, flow) or wake end
      redis.call('HSET', key, 'class', first)
      if state == 'ready' then put(id, first, flow, run_by(redis.call('HGET', key, 'deadline'))) end
      move('prioritised', id)
      verdict = state
    elseif verb == 'retry' and state == 'dead' then
      take_out(id, key, state, flow)
      for _, counter in ipairs({'transient', 'throttled', 'permanent', 'timed_out', 'crashed', 'expired'}) do
        redis.call('HDEL', key, 'failed:' .. counter)
      end
      -- A deadline that has passed would end it again at once.
      redis.call('HDEL', key, 'group', 'cancel', 'deadline')
      if second ~= '' then
        local head, args = string.match(job[1], '^([^\n]*\n[^\n]*\n)(.*)$')
        local edits = redis.call('HINCRBY', key, 'edits', 1)
        redis.call('HSET', key, 'args:' .. int(edits), args or '', 'job', (head or '') .. string.sub(second, 2))
      end
      verdict = schedule(id, key, tonumber(first), class, flow)
      move('revived', id)
    elseif verb == 'forget' and (state == 'dead' or state == 'succeeded' or state == 'cancelled')
      and tonumber(job[4] or '0') <= now - tonumber(first) then
      redis.call('ZREM', state == 'dead' and DEAD or state == 'succeeded' and SUCCEEDED or CANCELLED, id)
      forget(id, key)
      move('forgotten', id)
      verdict, line = 'forgotten', ''
    end
    if line ~= '' and string.sub(verdict, 1, 3) ~= 'is ' then append_history(key, line, HISTORY_BYTES) end
  end
  verdicts[#verdicts + 1] = verdict
end
wake = put_all() or wake
tell('')
if wake then redis.call('PUBLISH', WAKE, at) end
return verdicts
