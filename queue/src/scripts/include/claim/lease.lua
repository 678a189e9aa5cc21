-- Leases jobs, and says so in the reply.
-- include: int, job, spent, expire, moves, park, claim/new

local function answer(c, id, content, size)
  local n = c.n + 1
  c.n, c.bytes, c.leased[n] = n, c.bytes + size, id
  c.reply[2 * n + 3], c.reply[2 * n + 4] = id, content
end
-- Replies with all fields of a job that is not in its first attempt.
local function answer_again(c, id, token, fields)
  local size = 0
  for _, text in ipairs(fields) do size = size + #text end
  table.insert(fields, 1, token)
  answer(c, id, fields, size)
end
-- Writes the lease that the jobs of the claim share.
local function store_lease(cx, c)
  redis.call('ZADD', RUNNING, c.until_ms, c.number)
  local ids = table.concat(c.leased, ' ')
  redis.call('HSET', LEASE .. c.number, 'left', c.n, 'ids', ids, 'ms', c.lease_ms)
  set_field(c, 'claims', c.number)
  set_field(c, 'running', int(cx.running + c.n))
  move_all(cx, 'claimed', c.leased, ids)
end

-- Whether a kind is paused; `c.paused_kinds` remembers it.
local function is_paused(c, kind)
  c.paused_kinds = c.paused_kinds or {}
  if c.paused_kinds[kind] == nil then c.paused_kinds[kind] = redis.call('SISMEMBER', PAUSED_KINDS, kind) == 1 end
  return c.paused_kinds[kind]
end
-- In a head line without a deadline, route, version and kind follow on a time of 13 digits, the
-- class, and another time of 13 digits. `c.known_head` is this part of the last known job: to compare
-- it costs a fifth of a pattern. With a deadline, digits or another time stand there.
local BEHIND_DUE = 31
-- Parks a job whose kind the worker does not run. False where the worker runs it, or where the
-- head line is damaged. `state` is the state of the index in which the job was found.
local function is_unknown(cx, c, id, key, body, state)
  local route, of = string.match(body, '^%d+|%d|[^|\n]*|%d*|(%d*)|(%d+|[^|\n]*)|')
  if not of then return false end
  if c.runs[of] then
    c.known_head = '|' .. route .. '|' .. of .. '|'
    c.known_end = BEHIND_DUE + #c.known_head - 1
    return false
  end
  local version, kind = string.match(of, '^(%d+)|(.*)$')
  local text = redis.call('HGET', key, 'state')
  -- A job in another state is in another index.
  if state_of(text) ~= state then return true end
  park(cx, id, key, body, text, 'kind ' .. kind .. '@' .. version,
    'no handler for kind `' .. kind .. '` version ' .. version .. ' in the worker that met it: one that has it takes it')
  move(cx, 'parked', id)
  c.n_unknown, cx.read = c.n_unknown + 1, cx.read + #body
  return true
end
-- Ends or parks a job that must not start, although its turn has come: its deadline passed, or
-- its kind is paused. False where the job may start.
local function is_held_back(cx, c, id, key, body)
  local kind, _, _, deadline = header(body)
  local by, policy = parse_deadline(deadline)
  local is_late = policy == 'e' and tonumber(by) <= cx.now
  if not is_late and not (cx.kinds_paused and is_paused(c, kind)) then return false end
  local text = redis.call('HGET', key, 'state')
  -- A job in another state is in another index.
  if state_of(text) ~= 'ready' then return true end
  cx.read = cx.read + #body
  if is_late then
    expire(cx, id, key, body, text, kind, by)
    redis.call('ZREM', EXPIRING, id)
  else
    park(cx, id, key, body, text, 'resume ' .. kind, 'the kind is paused')
    move(cx, 'parked', id)
  end
  return true
end
-- Leases a job that has more fields than its body, where it is in that state.
local function lease_again(cx, c, id, key, state)
  local text = redis.call('HGET', key, 'state')
  if state_of(text) ~= state then return false end
  if state == 'parked' then
    redis.call('HSET', key, 'spent', spent_after(redis.call('HGET', key, 'spent'), text, 'running', cx.now))
  end
  local fields = redis.call('HGETALL', key)
  if #fields == 0 then return false end
  local token = string.match(attempt_of(text), '^ (%d+)') or 0
  token = int(token + 1)
  redis.call('HSET', key, 'state', 'running ' .. token .. c.attempt)
  answer_again(c, id, token, fields)
  return true
end
-- Leases a job that was taken out of its lane. False where it does not run.
local function lease(cx, c, id)
  local key = JOB .. id
  local body = redis.pcall('HGET', key, 'job')
  -- A key of another type was damaged by hand, and would hold up every claim.
  if type(body) == 'table' then return false end
  if body then
    if (c.some_late or cx.kinds_paused) and is_held_back(cx, c, id, key, body) then return false end
    if c.runs and string.sub(body, BEHIND_DUE, c.known_end or 0) ~= c.known_head
      and is_unknown(cx, c, id, key, body, 'ready') then return false end
    if redis.call('HSETNX', key, 'state', c.first_attempt) == 1 then
      -- As `answer`, for each job.
      local n = c.n + 1
      c.n, c.bytes, c.leased[n] = n, c.bytes + #body, id
      c.reply[2 * n + 3], c.reply[2 * n + 4] = id, body
      return true
    end
  end
  -- It ran before, or something else was done to it.
  return lease_again(cx, c, id, key, 'ready')
end
