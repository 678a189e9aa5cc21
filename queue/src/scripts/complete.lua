-- Purpose: end a batch of attempts. Each is fenced: a token and worker that are
--       not the job's current ones, or a job that no longer runs, are refused.
-- KEYS: 1 control
-- ARGV: 1 worker, 2 number of items (at most 128), then for each item: id, token,
--       flow, verb, and three that depend on the verb:
--       succeed: '', '', outcome JSON
--       retry: delay in ms, failure class, history line
--       bury: normalised message, failure class, history line
--       snooze: delay in ms, '', history line (the attempt does not count)
--       release: '', '', history line or '' (the attempt does not count)
--       cancel: '', '', history line
--       park: need, why, history line (the attempt does not count)
-- Returns: {verdict...}: 1 written, 0 refused.
local n = tonumber(ARGV[2])
if #ARGV ~= 2 + n * 7 then
  return redis.error_reply('ARGS complete: expected ' .. (2 + n * 7) .. ' arguments, got ' .. #ARGV)
end
local reply, ended = {}, {}
local scheduled, succeeded, cancelled = {}, {}, {}
local refused = 0
local function add(list, score, id)
  list[#list + 1] = score
  list[#list + 1] = id
end
for i = 0, n - 1 do
  local p = 3 + i * 7
  local id, token, flow, verb = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3]
  local first, second, text = ARGV[p + 4], ARGV[p + 5], ARGV[p + 6]
  local key = JOB .. id
  local held = redis.call('HMGET', key, 'token', 'worker', 'state', 'cancel')
  if held[1] ~= token or held[2] ~= ARGV[1] or held[3] ~= 'running' then
    reply[#reply + 1] = 0
    refused = refused + 1
  else
    reply[#reply + 1] = 1
    ended[#ended + 1] = id
    free(id, flow)
    if verb == 'succeed' then
      redis.call('HSET', key, 'state', 'succeeded', 'since', at, 'outcome', text)
      add(succeeded, at, id)
      move('succeeded', id)
    else
      if text ~= '' then append_history(key, text, HISTORY_BYTES) end
      if verb == 'retry' or verb == 'bury' then
        redis.call('HINCRBY', key, 'failed:' .. second, 1)
      elseif verb ~= 'cancel' then
        redis.call('HINCRBY', key, 'released', 1)
      end
      if held[4] or verb == 'cancel' then
        -- Whatever it ended with but success: it was to be cancelled.
        redis.call('HSET', key, 'state', 'cancelled', 'since', at)
        add(cancelled, at, id)
        move('cancelled', id)
      elseif verb == 'retry' or verb == 'snooze' then
        watch_deadline(id, key)
        redis.call('HSET', key, 'state', 'scheduled', 'since', at)
        add(scheduled, int(now + tonumber(first)), id)
        move(verb == 'retry' and 'retried' or 'snoozed', id)
      elseif verb == 'bury' then
        local kind = header(redis.call('HGET', key, 'job') or '')
        local ok, line = pcall(cjson.decode, text)
        bury(id, key, kind, second, first, ok and line.message or first)
        move('dead', id)
      elseif verb == 'park' then
        watch_deadline(id, key)
        park(id, key, first, second)
        move('parked', id)
      else
        -- Handed back: it runs next.
        watch_deadline(id, key)
        redis.call('HSET', key, 'state', 'ready', 'since', at)
        put(id, redis.call('HGET', key, 'class') or NORMAL, flow, FIRST)
        move('released', id)
      end
    end
  end
end
if #ended > 0 then redis.call('ZREM', RUNNING, unpack(ended)) end
if #scheduled > 0 then redis.call('ZADD', SCHEDULED, unpack(scheduled)) end
if #succeeded > 0 then redis.call('ZADD', SUCCEEDED, unpack(succeeded)) end
if #cancelled > 0 then redis.call('ZADD', CANCELLED, unpack(cancelled)) end
local woken = free_all()
local put_back = put_all()
if refused > 0 then redis.call('HINCRBY', STATS, 'refused', refused) end
tell(ARGV[1])
if put_back or woken or #scheduled > 0 then redis.call('PUBLISH', WAKE, at) end
return reply
