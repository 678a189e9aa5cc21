-- Part of a claim, its first: what is due comes first, whoever asks. Jobs that are due are
-- promoted, those whose lease expired are taken over, those whose deadline passed are ended,
-- and lanes are let in for which a limit has a token again.

local worker, bound = ARGV[1], tonumber(ARGV[4])
local want = tonumber(ARGV[2])
local crashed, buried, wake, late, ended = 0, 0, false, nil, {}
do -- A function has 200 names of its own at most.

-- What follows from a crash: `crashes that a job survives, the shortest wait, the longest
-- after the first crash, after the second...` (ms), of all kinds and of some.
local rules, rule_texts, spread = {}, {}, tonumber(ARGV[11])
for i = 13 + math.max(0, tonumber(ARGV[12])), #ARGV, 2 do rule_texts[ARGV[i]] = ARGV[i + 1] end
local function rule_of(kind)
  local text = rule_texts[kind] or ARGV[5]
  if not rules[text] then
    local numbers = {}
    for number in string.gmatch(text, '%d+') do numbers[#numbers + 1] = tonumber(number) end
    rules[text] = numbers
  end
  return rules[text]
end
-- The wait after so many crashes. Those of one call are spread over the whole of it: steps
-- of the golden ratio lie far apart, however many there are.
local function wait_after(rule, crashes)
  spread = (spread + 0.6180339887) % 1
  return math.max(rule[2], math.floor((rule[math.min(#rule, 2 + crashes)] or 0) * spread))
end
local CRASHED = 'the lease expired: the worker stopped renewing it'

local due = redis.call('ZRANGE', SCHEDULED, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4])
local promoted, read = {}, 0
for i, id in ipairs(due) do
  -- Those behind large ones are promoted by the next call.
  if read >= CALL_BYTES then break end
  promoted[i] = id
  -- An index entry without a job (deleted by hand) is dropped, here and below.
  local job = fields_of(JOB .. id, 'job', 'state')
  if job[1] then
    read = read + #job[1]
    local _, flow, class, deadline = header(job[1])
    become(JOB .. id, 'ready', job[2])
    local place = run_by(deadline, i)
    -- One that ran before has its turn by when it was enqueued, not behind all that came
    -- meanwhile.
    if deadline == '' and attempt_of(job[2]) ~= '' then
      place = int(tonumber(string.match(job[1], '^%d+') or '0') * 1000 + PATIENCE_US)
    end
    put(id, class .. ':' .. flow, place)
    move('promoted', id)
  end
end
if #promoted > 0 then redis.call('ZREM', SCHEDULED, unpack(promoted)) end

local waiting = {}
-- Takes over what is left of one lease.
local function take_over(claim, id)
  local key = JOB .. id
  local job = fields_of(key, 'state', 'released', 'cancel')
  local text = job[1]
  local body = state_of(text) == 'running' and claim_of(text) == claim and redis.call('HGET', key, 'job')
  if body then
    read = read + #body
    local kind, flow, class, deadline = header(body)
    local token, by, began = string.match(attempt_of(text), '^ (%d+) (%S+) (%d+)')
    local crashes, rule = redis.call('HINCRBY', key, 'failed:crashed', 1), rule_of(kind)
    append_history(key, cjson.encode({
      at = now, attempt = (token or 0) - (job[2] or 0), class = 'crashed', worker = by,
      began = tonumber(began), message = CRASHED,
    }), HISTORY_BYTES)
    free({id}, 1, 1, flow, claim)
    move('crashed', id)
    crashed = crashed + 1
    if job[3] then
      become(key, 'cancelled', text)
      redis.call('ZADD', CANCELLED, at, id)
      move('cancelled', id)
    elseif crashes > rule[1] then
      bury(id, key, text, kind, 'crashed', CRASHED, CRASHED)
      move('dead', id)
      buried = buried + 1
    else
      watch_deadline(id, deadline)
      local wait = wait_after(rule, crashes)
      if wait > 0 then
        become(key, 'scheduled', text)
        waiting[#waiting + 1] = int(now + wait)
        waiting[#waiting + 1] = id
      else
        become(key, 'ready', text)
        -- A job that lost its worker goes before those that never started.
        put(id, class .. ':' .. flow, FIRST)
      end
    end
  end
end
local lost, examined_lost = redis.call('ZRANGE', RUNNING, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4]), 0
local left = 0
read = 0
for _, claim in ipairs(lost) do
  local lease = redis.call('HMGET', LEASE .. claim, 'ids', 'left')
  -- The first one is taken over whole, whatever its size: a claim bounded it.
  if examined_lost > 0 and (examined_lost + (lease[2] or 0) > bound or read >= CALL_BYTES) then break end
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
-- Other workers may sleep for want of the room that is free now.
if crashed > 0 and free_all() then wake = true end
if #waiting > 0 then redis.call('ZADD', SCHEDULED, unpack(waiting)) end

late = redis.call('ZRANGE', EXPIRING, '-inf', at, 'BYSCORE', 'LIMIT', '0', ARGV[4])
wake = put_all() or #waiting > 0 or wake
read = 0
for i, id in ipairs(late) do
  if read >= CALL_BYTES then break end
  ended[i] = id
  local key = JOB .. id
  local text = redis.call('HGET', key, 'state')
  local state = state_of(text)
  local body = (state == 'ready' or state == 'scheduled' or state == 'parked') and redis.call('HGET', key, 'job')
  if body then
    read = read + #body
    local kind, flow, class, deadline = header(body)
    if deadline ~= '' then
      if take_out(id, key, state, body, flow, class) then wake = true end
      expire(id, key, text, kind, string.match(deadline, '^%d+'))
    end
  end
end
if #ended > 0 then redis.call('ZREM', EXPIRING, unpack(ended)) end

if limited and is_any_held() then
  local keys = redis.call('ZRANGE', PACED, '-inf', at, 'BYSCORE', 'LIMIT', '0', '32')
  for _, key in ipairs(keys) do
    redis.call('ZREM', PACED, key)
    if release_lanes(key) then wake = true end
  end
end

end
