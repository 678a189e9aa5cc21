-- Purpose: promote due jobs, take over jobs whose lease expired, end those whose
--       deadline passed, and lease up to N ready jobs to one worker: by class,
--       within a class by turns of the tenants, within a tenant by least slack, and
--       only as many as the limits allow. A job whose kind the worker does not run is parked;
--       one that waits for its kind goes first where the worker runs it. A claim that has
--       CALL_BYTES ends early.
--       Counts the attempt, so that a job which kills its process still uses up its
--       budget.
--       A call that is repeated under the same number (its answer got lost) leases
--       nothing new: it renews what it had leased and answers with that, unless one
--       with a number higher by two came meanwhile.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 N (0 to 160: 0 only promotes and takes over), 3 lease in ms,
--       4 bound on promotions, expiries and take-overs in this call (at most 128, or
--       CALL_BYTES; one lease is taken over in any case; nothing is leased while large
--       jobs whose deadlines passed are left),
--       5 what follows from a crash (see due.lua), 6 number of the call, 7 to 9 the shares of
--       claims (0 to 1) that the classes high, normal and low get while others wait,
--       10 jobs that a lane may be given ahead of its turn (1 to 160), for a tenant of
--       weight 1, 11 a random number (0 to 1) for waits after crashes, 12 number of kinds
--       that the worker runs (-1 for all), then each as `version|kind`; then kinds, each
--       before what follows from a crash of its jobs, where that is another
-- Returns: {now ms, ms of the next thing to do (0 for none), jobs taken over, jobs
--       dead of crashes, 1 when there is more to do at once, jobs that were parked because
--       the worker does not run their kind, then for each job: id, and
--       its body where this is its first attempt, else {token, field, value...}, as they
--       were before}. The next thing to do is left out when all N were leased.

-- What is due was done in the parts before this one.

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
elseif want > 0 and #ended < #late then
  -- Deadlines that passed are left to the next call, and it may be the turn of their jobs.
  more = true
elseif want > 0 and not paused then
  local waiting, lanes = {}, 0
  if some_unknown then unknown.read_kinds() end
  for class = 0, 3 do
    local name = int(class)
    if tonumber(control[class + 1] or '0') > 0 or unknown.kinds[1] and unknown.has(name) then
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
    if share > 0 then left = left - unknown.serve(class, share) end
  end
  for _, class in ipairs(waiting) do
    if left <= 0 then break end
    local got, cut = unknown.serve(class, left)
    left = left - got
    -- What it had no lanes or bytes for is not for the lower classes.
    if cut then
      more = true
      break
    end
  end
  if unknown.cut then more = true end
  -- Who would have had more of fewer lanes.
  if lanes > MANY_LANES and n_leased >= JOBS_OF_MANY and n_leased < tonumber(ARGV[2]) then more = true end
  if n_leased > 0 then
    if queue_limit then
      queue_limit.taken = n_leased
      -- Whoever got less than it asked for because the tokens are used up comes back for
      -- the next one.
      next_token = next_token_of(queue_limit)
    end
    redis.call('ZADD', RUNNING, until_ms, claim)
    leased.text = table.concat(leased, ' ')
    redis.call('HSET', LEASE .. claim, 'left', n_leased, 'ids', leased.text, 'ms', ARGV[3])
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
-- What was made ready here and not taken may belong to a worker that sleeps, and so may what
-- this one does not run.
if n_unknown > 0 or promise_ended and some_unknown or wake and (paused or more or n_leased >= tonumber(ARGV[2])) then redis.call('PUBLISH', WAKE, at) end

local next_at = next_token or 0
if unknown.next_token and (next_at == 0 or unknown.next_token < next_at) then next_at = unknown.next_token end
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
reply[6] = n_unknown
return reply
