-- What the scripts share. In front of it stand the names of the keys (from
-- `keys.rs`), the layout's version SCHEMA, and micros(): the time. KEYS[1] is
-- the control key of the queue; all keys follow from it and share its slot.

local NONE = {}
-- Lua writes large numbers in scientific notation when they are made a part of a
-- text, so those go through int(). What is passed to a command as a number is
-- written in full by Redis, in more time.
local function int(x) return string.format('%d', x) end

local known = redis.call('HMGET', CONTROL, 'schema', 'limited', 'paused', 'paused_kinds', 'unknown')
if known[1] ~= SCHEMA then
  if known[1] or redis.call('EXISTS', STATS) == 1 then
    return redis.error_reply('SCHEMA the queue was written with layout ' .. (known[1] or '1') ..
      ', this program speaks layout ' .. SCHEMA .. ': run the version of Upshot that fits, or use another prefix')
  end
  redis.call('HSET', CONTROL, 'schema', SCHEMA)
end
-- Whether any limit or weight is set. Without one nobody looks for any.
local limited, paused, kinds_paused = known[2] == '1', known[3] == '1', known[4] == '1'
-- Whether jobs are parked because a worker did not know their kind.
local some_unknown = known[5] == '1'

local us = micros()
local now = math.floor(us / 1000)
local at = int(now)

-- A job's body starts with the head line, `enqueued at|class|deadline|due|route|version|kind|flow`.
-- A deadline is `ms` and what happens then (e or r); due and route are the ledger's, and
-- empty until it fills them; a flow is the tenant and the limit keys, between bars.
local HEAD = '^%d+|(%d)|([^|\n]*)|[^|\n]*|[^|\n]*|(%d*)|([^|\n]*)|([^\n]*)\n'
local function header(body)
  local class, deadline, version, kind, flow = string.match(body, HEAD)
  -- A damaged body belongs to nobody; whoever claims it finds out.
  return kind or '?', flow or '', class or NORMAL, deadline or '', version or '0'
end

-- The state of a job is one field, and so one write: `state since`, and behind it
-- ` token worker began` of its last attempt, once there was one; while it runs,
-- `running token worker began claim`. A job without the field is ready for the first
-- time, and has nothing but its body and a count of duplicates.
local function state_of(text)
  return text and string.match(text, '^%a+') or 'ready'
end
-- The last attempt of a state: with a blank before it, or nothing.
local function attempt_of(text)
  if not text then return '' end
  return string.match(text, '^running( %d+ %S+ %d+)') or string.match(text, '^%a+ %d+( .*)$') or ''
end
-- Fields of a job. A key that was damaged by hand has none: it must not end a script that has
-- begun to write, and with it all that others wait for.
local function fields_of(key, ...)
  local read = redis.pcall('HMGET', key, ...)
  return read.err and {false, false, false} or read
end
local function become(key, state, text)
  redis.call('HSET', key, 'state', state .. ' ' .. at .. attempt_of(text))
end
-- A write is fenced: it counts only while the job runs under that token and worker.
local function fence_of(token, worker) return 'running ' .. token .. ' ' .. worker .. ' ' end
local function is_held(text, fence) return text and string.sub(text, 1, #fence) == fence end
-- The number of the claim by which a job runs; of one that does not run, 0.
local function claim_of(text) return text and tonumber(string.match(text, '^running %d+ %S+ %d+ (%d+)$')) or 0 end

-- The jobs of a claim share one lease: `lease:n` has their ids and how many of them
-- still run, `running` when it expires. Whoever ends an attempt says so here.
local over, n_over = {}, 0
local function stops(claim, n)
  over[claim] = (over[claim] or 0) + n
  n_over = n_over + n
end
local running = nil
local function running_now()
  running = running or tonumber(redis.call('HGET', CONTROL, 'running') or '0')
  return running
end
local function end_leases()
  for claim, n in pairs(over) do
    if redis.call('HINCRBY', LEASE .. int(claim), 'left', -n) <= 0 then
      redis.call('DEL', LEASE .. int(claim))
      redis.call('ZREM', RUNNING, claim)
    end
  end
  if n_over > 0 then running = redis.call('HINCRBY', CONTROL, 'running', -n_over) end
end

-- A flow taken apart: its tenant, and its limit keys, that of the tenant and those of
-- its own. One that was named twice holds a job no more than once. What a claim learns of
-- it has its place here already.
local flows = {}
local function flow_of(name)
  local flow = flows[name]
  if flow then return flow end
  local tenant, first, others = string.match(name, '^([^|]*)|?([^|]*)(.*)$')
  local keys
  if tenant == '' then
    keys = first ~= '' and {'key:' .. first} or {}
  else
    keys = first ~= '' and {'tenant:' .. tenant, 'key:' .. first} or {'tenant:' .. tenant}
  end
  if others ~= '' then
    for part in string.gmatch(others, '[^|]+') do
      local key, named = 'key:' .. part, false
      for _, each in ipairs(keys) do named = named or each == key end
      if not named then keys[#keys + 1] = key end
    end
  end
  flow = {tenant = tenant, keys = keys, limits = false, weight = 1}
  flows[name] = flow
  return flow
end
local function keys_of(name) return flow_of(name).keys end

-- Appends one line to a text field of a job and drops the oldest lines beyond
-- the caps in bytes and in lines. The newest line is always kept.
local function append(key, field, line, bytes, lines)
  local text = redis.call('HGET', key, field)
  if text then
    line = text .. '\n' .. line
    local _, feeds = string.gsub(line, '\n', '')
    while #line > bytes or feeds >= lines do
      local cut = string.find(line, '\n', 1, true)
      if not cut then break end
      line = string.sub(line, cut + 1)
      feeds = feeds - 1
    end
  end
  redis.call('HSET', key, field, line)
end
local function append_history(key, line, cap) append(key, 'history', line, cap, 64) end

-- Transitions of this call: ids by what happened to them, or these and their `text`
-- where somebody put them together. They are told to those who watch, counted, and
-- appended to the outbox as one entry.
local moves, moved = {}, {}
local function move(what, id)
  local ids = moves[what]
  if not ids then
    ids = {}
    moves[what] = ids
    moved[#moved + 1] = what
  end
  ids[#ids + 1] = id
end
local function tell(by)
  if #moved == 0 then return end
  local entry, all = {'XADD', OUTBOX, '*', 'by', by}, {}
  for i, what in ipairs(moved) do
    all[i] = moves[what].text or table.concat(moves[what], ' ')
    redis.call('HINCRBY', STATS, what, #moves[what])
    entry[#entry + 1] = what
    entry[#entry + 1] = all[i]
  end
  redis.call(unpack(entry))
  redis.call('PUBLISH', CHANGES, all[2] and table.concat(all, ' ') or all[1])
end
