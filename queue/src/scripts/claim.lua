-- Purpose: lease up to N ready jobs to one worker: by class, within a class by turns of the
--       tenants, within a tenant by least slack, and only as many as the limits allow. A job
--       whose kind the worker does not run is parked; one that waits for its kind goes first
--       where the worker runs it. A claim stops adding jobs once it has CALL_BYTES. It counts
--       the attempt, so a job that kills its process still uses up its budget.
--       A call that is repeated under the same request id (its reply got lost) leases nothing
--       new: it renews what it had leased and replies with that, unless a call with an id higher
--       by two came meanwhile.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 N (1 to 160), 3 lease in ms, 4 request id (a number), 5 to 7 the shares of
--       claims (0 to 1) that the classes high, normal and low get while others wait, 8 quantum:
--       jobs that a lane may be given ahead of its turn (1 to 160), for a tenant of weight 1,
--       9 a random number (0 to 1), 10 1 where `maintain` failed, else 0, 11 number of kinds that
--       the worker runs (-1 for all), then each as `version|kind`
-- Returns: {now ms, ms of the next thing to do (0 for none), 1 when there is more to do at once,
--       jobs that were parked because the worker does not run their kind, then for each job: id,
--       and its body where this is its first attempt, else {token, field, value...}, as they
--       were before}. The next thing to do is left out when all N were leased.
-- include: open, int, job, state, limits, moves, release_lanes, reservations, claim/kinds, claim/lease
-- include: claim/new, claim/ring
local cx, control = open(
  'claims', 'running', 'ready:0', 'ready:1', 'ready:2', 'ready:3', 'time:0', 'time:1', 'time:2', 'time:3',
  'credit:1', 'credit:2', 'credit:3'
)
if cx.err then return cx end
local kinds = {}
for i = 12, 11 + math.max(0, tonumber(ARGV[11])) do kinds[ARGV[i]] = true end
local c = new_claim(cx, {
  worker = ARGV[1], want = tonumber(ARGV[2]), lease_ms = tonumber(ARGV[3]), quantum = tonumber(ARGV[8]),
  runs = tonumber(ARGV[11]) >= 0 and kinds or nil, by_chance = tonumber(ARGV[9]) < 0.5,
}, control)
local request, wanted = ARGV[4], c.want

-- `maintain` ends jobs whose deadline passed. While it has some left, it may be the turn of
-- these jobs: nothing is leased where they are few, and else each job is looked at. Each job is
-- looked at as well where `maintain` failed: one job that it cannot end stops no other.
local next_deadline = tonumber(redis.call('ZRANGE', EXPIRING, '0', '0', 'WITHSCORES')[2]) or math.huge
local n_late = next_deadline <= cx.now and redis.call('ZCOUNT', EXPIRING, '-inf', cx.at) or 0
c.some_late = n_late >= MAX_BATCH or n_late > 0 and ARGV[10] == '1'

-- A worker has two claims under way at most, with request ids that follow each other.
local remembered = CLAIM .. c.worker .. ':' .. tonumber(request) % 2
local last_request, last_claim = string.match(redis.call('GET', remembered) or '', '^(%d+) (%d+)$')
if last_request == request then
  local ids = redis.call('HGET', LEASE .. last_claim, 'ids') or ''
  for id in string.gmatch(ids, '%S+') do
    local key = JOB .. id
    local text = field_of(key, 'state')
    if claim_of(text) == tonumber(last_claim) then
      answer_again(c, id, string.match(text, '%d+'), redis.call('HGETALL', key))
    end
  end
  -- The worker counts its lease from this call, not from the lost one.
  redis.call('ZADD', RUNNING, 'XX', c.until_ms, last_claim)
  -- This call did not look for other jobs.
  c.more = c.n < c.want
elseif n_late > 0 and not c.some_late then
  c.more = true
elseif not cx.paused then
  local waiting, lanes = {}, 0
  if cx.some_unknown then read_kinds(cx, c) end
  for class = 0, CLASSES - 1 do
    local name = int(class)
    if c.ready[name] > 0 or has_known(c, name) then
      waiting[#waiting + 1] = name
      c.turning[name] = redis.call('ZCARD', RING .. name)
      lanes = lanes + c.turning[name]
    end
  end
  if lanes > MANY_LANES then c.want = math.min(c.want, JOBS_OF_MANY) end
  -- The lower classes first get what their share has come to meanwhile, once that is as much as
  -- a lane may be given ahead. The credit is bounded, for a class that cannot run for long, and
  -- above what one claim pays and earns.
  local function credit_of(class)
    return math.min(CREDIT, c.credit[class] + c.want * tonumber(ARGV[4 + class]))
  end
  local function share_of(credit) return credit < c.quantum and 0 or math.floor(credit) end
  if cx.limited and #waiting > 0 then
    local parts, rest = {}, c.want
    for i = 2, #waiting do
      local part = math.min(rest, share_of(credit_of(waiting[i])))
      if part > 0 then parts[waiting[i]] = part end
      rest = rest - part
    end
    if rest > 0 then parts[waiting[1]] = rest end
    read_ahead(cx, c, parts)
  end
  local queue_limit = cx.limited and limit_of(cx, 'queue')
  if queue_limit then
    local room = room_of(cx, 'queue', queue_limit)
    if room < 1 then c.next_token = next_token_of(cx, queue_limit) end
    c.want = math.max(0, math.min(c.want, room))
  end
  local left = c.want
  for i = 2, left > 0 and #waiting or 0 do
    local class = waiting[i]
    local credit = credit_of(class)
    local share = math.min(left, share_of(credit))
    set_field(c, 'credit:' .. class, string.format('%.6f', credit - share))
    if share > 0 then left = left - serve(cx, c, class, share) end
  end
  for _, class in ipairs(waiting) do
    if left <= 0 then break end
    local got, cut = serve(cx, c, class, left)
    left = left - got
    -- What was cut for want of lanes or bytes is not for the lower classes.
    if cut then
      c.more = true
      break
    end
  end
  -- A claim from fewer lanes would have had more.
  if lanes > MANY_LANES and c.n >= JOBS_OF_MANY and c.n < wanted then c.more = true end
  if c.n > 0 then
    if queue_limit then
      queue_limit.taken = c.n
      -- A worker that got less than it asked for, because the tokens are used up, comes back
      -- for the next one.
      c.next_token = next_token_of(cx, queue_limit)
    end
    store_lease(cx, c)
    redis.call('SET', remembered, request .. ' ' .. c.number, 'PX', 2 * c.lease_ms)
  end
  if #c.fields > 0 then redis.call('HSET', CONTROL, unpack(c.fields)) end
  if cx.limited then
    store_held(cx)
    for key, limit in pairs(cx.limits) do
      if limit and limit.rate and limit.taken > 0 then store_bucket(cx, key, limit.tokens - limit.taken) end
    end
  end
end
tell(cx, c.worker)
-- Sleeping workers may run what this one does not.
if c.n_unknown > 0 or cx.reservation_ended and cx.some_unknown then redis.call('PUBLISH', WAKE, cx.at) end

local next_at = math.min(c.next_token or math.huge, c.next_look or math.huge)
-- A worker that got all that it asked for does not sleep.
if c.n < wanted then
  local function sooner(key)
    next_at = math.min(next_at, tonumber(redis.call('ZRANGE', key, '0', '0', 'WITHSCORES')[2]) or math.huge)
  end
  next_at = math.min(next_at, next_deadline)
  sooner(SCHEDULED)
  sooner(RUNNING)
  if cx.limited and is_any_held(cx) then sooner(PACED) end
end
local reply = c.reply
reply[1], reply[2] = cx.now, next_at < math.huge and math.ceil(next_at) or 0
reply[3], reply[4] = c.more and 1 or 0, c.n_unknown
return reply
