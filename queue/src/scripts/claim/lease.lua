-- Part of a claim: how a job is leased, and what is answered of it.

-- A deadline that passed is found here only if there were too many of them.
local overdue = #late == bound
local until_ms = int(now + tonumber(ARGV[3]))
local examined, more, next_token = 0, false, nil
-- Jobs that are leased here: their ids, the reply with room for what stands first, and
-- the bytes of it.
local leased, reply, n_leased, bytes = {}, {0, 0, 0, 0, 0, 0}, 0, 0

local paused_kinds = {}
local function is_paused(kind)
  if paused_kinds[kind] == nil then paused_kinds[kind] = redis.call('SISMEMBER', PAUSED_KINDS, kind) == 1 end
  return paused_kinds[kind]
end

local control = redis.call(
  'HMGET', CONTROL, 'ready:0', 'ready:1', 'ready:2', 'ready:3', 'credit:1', 'credit:2', 'credit:3', 'claims', 'running',
  'time:0', 'time:1', 'time:2', 'time:3'
)
running = tonumber(control[9] or '0')
for class = 0, 3 do time_texts[int(class)] = control[10 + class] or '0' end
local claim = int((control[8] or 0) + 1)
-- Fields of it that change here.
local changed = {}
local function change(field, value)
  changed[#changed + 1] = field
  changed[#changed + 1] = value
end
-- What is written about an attempt, behind its token.
local attempt = ' ' .. worker .. ' ' .. at .. ' ' .. claim
local first_attempt = 'running 1' .. attempt

local function answered(id, content, size)
  n_leased = n_leased + 1
  bytes = bytes + size
  leased[n_leased] = id
  local n = n_leased * 2
  reply[n + 5], reply[n + 6] = id, content
end
local function answered_again(id, token, fields)
  local size = 0
  for _, text in ipairs(fields) do size = size + #text end
  table.insert(fields, 1, token)
  answered(id, fields, size)
end

-- The kinds that the worker runs, as bodies have them: `version|kind`. None is named by one that
-- runs all of them.
local runs, n_unknown = nil, 0
if tonumber(ARGV[12]) >= 0 then
  runs = {}
  for i = 13, 12 + ARGV[12] do runs[ARGV[i]] = true end
end
-- Behind a time of 13 digits and the class: what the head of a job without a deadline, of the
-- kind that was seen last and is known, goes on with. To compare it costs a fifth of a pattern.
local BEHIND_CLASS, known_head, known_end = 16, nil, 0
-- Parks a job whose kind the worker does not run. False when it does, or when the head line is
-- damaged.
local function is_unknown(id, key, body, state)
  local of = string.match(body, '^%d+|%d|[^|\n]*|[^|\n]*|[^|\n]*|(%d+|[^|\n]*)|')
  if not of then return false end
  if runs[of] then
    known_head = '||||' .. of .. '|'
    known_end = BEHIND_CLASS + #known_head - 1
    return false
  end
  local version, kind = string.match(of, '^(%d+)|(.*)$')
  local text = redis.call('HGET', key, 'state')
  -- One that is somewhere else by its state is not in this index.
  if state_of(text) ~= state then return true end
  park(id, key, body, text, 'kind ' .. kind .. '@' .. version,
    'no handler for kind `' .. kind .. '` version ' .. version .. ' in the worker that met it: one that has it takes it')
  move('parked', id)
  n_unknown, compared = n_unknown + 1, compared + #body
  return true
end

-- Ends or parks a job that must not start, although its turn has come. False when it
-- may start.
local function is_held_back(id, key, body)
  local kind, _, _, deadline = header(body)
  local by, policy = string.match(deadline, '^(%d+)(.)')
  local is_late = policy == 'e' and tonumber(by) <= now
  if not is_late and not (kinds_paused and is_paused(kind)) then return false end
  local text = redis.call('HGET', key, 'state')
  -- One that is somewhere else by its state is not in this index.
  if state_of(text) ~= 'ready' then return true end
  if is_late then
    expire(id, key, text, kind, by)
    redis.call('ZREM', EXPIRING, id)
    return true
  else
    park(id, key, body, text, 'resume ' .. kind, 'the kind is paused')
    move('parked', id)
    compared = compared + #body
    return true
  end
end

-- Leases a job that has more fields than its body, if it is in that state.
local function lease_again(id, key, state)
  local fields, text = redis.call('HGETALL', key), redis.call('HGET', key, 'state')
  -- A job in another state is in another index.
  if #fields == 0 or state_of(text) ~= state then return false end
  local token = string.match(attempt_of(text), '^ (%d+)') or 0
  token = int(token + 1)
  redis.call('HSET', key, 'state', 'running ' .. token .. attempt)
  answered_again(id, token, fields)
  return true
end
-- Leases a job that was taken out of its lane. False when it does not run.
local function lease(id)
  local key = JOB .. id
  local body = redis.pcall('HGET', key, 'job')
  -- A key of another type was damaged by hand, and would hold up every claim.
  if type(body) == 'table' then return false end
  if body then
    if (overdue or kinds_paused) and is_held_back(id, key, body) then return false end
    if runs and string.sub(body, BEHIND_CLASS, known_end) ~= known_head and is_unknown(id, key, body, 'ready') then return false end
    if redis.call('HSETNX', key, 'state', first_attempt) == 1 then
      answered(id, body, #body)
      return true
    end
  end
  -- It ran before, or something else was done to it.
  return lease_again(id, key, 'ready')
end
