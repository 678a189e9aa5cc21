-- Purpose: move expectations whose due time passed from open to overdue, each once; and append the
--       books to the streams of snapshots at the beginning of each minute and hour. One process of a
--       queue does it at a time; its lease is renewed by each call.
-- KEYS: 1 control, 2 none
-- ARGV: 1 the process, 2 its lease in ms, 3 bound on ids of a call, 4 the lease of another process
--       that was seen too long without a renewal ('' for none): it is taken from that process
-- Returns: {'' where this process holds the lease, else the lease as it is; now ms; expectations that became overdue; 1
--       where more are due}
-- include: open
local opened, control = open('minute')
if opened.err then return opened end
local lease = redis.call('GET', WATCHDOG)
if lease and lease ~= ARGV[4] and string.match(lease, '^%S+') ~= ARGV[1] then return {lease, opened.now, 0, 0} end
redis.call('SET', WATCHDOG, ARGV[1] .. ' ' .. opened.at, 'PX', ARGV[2])
local minute = math.floor(opened.now / MINUTE_MS)
local members = redis.call('ZRANGE', DUE, '-inf', opened.at, 'BYSCORE', 'LIMIT', 0, DUE_PACKS, 'WITHSCORES')
if not members[1] and control[6] == string.format('%d', minute) then return {'', opened.now, 0, 0} end
-- include: int, job, state, books, moves

local cx = opened
-- Appends the books to a stream. After the clock was set back, the stream takes nothing until it is
-- later than the last entry.
local function snapshot(stream, ms, most)
  local fields, texts = redis.call('HGETALL', BOOKS), {}
  for i = 1, #fields, 2 do texts[#texts + 1] = fields[i] .. '=' .. fields[i + 1] end
  redis.pcall('XADD', stream, 'MAXLEN', '~', most, int(ms) .. '-0', 'books', table.concat(texts, ' '))
end
if control[6] ~= int(minute) then
  snapshot(MINUTES, minute * MINUTE_MS, SNAPSHOT_MINUTES)
  local hour = math.floor(minute / 60)
  if math.floor((tonumber(control[6]) or -60) / 60) ~= hour then snapshot(HOURS, hour * 60 * MINUTE_MS, SNAPSHOT_HOURS) end
  redis.call('HSET', CONTROL, 'minute', int(minute))
end

local FINAL = {succeeded = true, dead = true, cancelled = true}
local overdue, looked, bound = 0, 0, tonumber(ARGV[3])
-- Looks at one job. A job that cannot be read stops no other.
local function look_at(id, tick)
  local key = JOB .. id
  local fields = fields_of(key, 'state', 'account')
  local from = fields[2] or 'o'
  if FINAL[state_of(fields[1])] or from ~= 'o' and from ~= 'w' then return end
  local body = field_of(key, 'job')
  if not body then return end
  cx.read = cx.read + #body
  local at, route, tenant = expectation_of(body)
  -- The id may have come again, and be due later.
  if at == '' or tonumber(at) >= tick then return end
  redis.call('HSET', key, 'account', 'v')
  move_expectation(cx, id, route, from, 'v', at, tenant)
  move(cx, 'overdue', id)
  overdue = overdue + 1
end
local taken, rest = {}, nil
for i = 1, #members, 2 do
  if looked >= bound or cx.read >= CALL_BYTES then break end
  local left = {}
  for id in string.gmatch(members[i], '%S+') do
    if looked >= bound or cx.read >= CALL_BYTES then
      left[#left + 1] = id
    else
      looked = looked + 1
      look_at(id, tonumber(members[i + 1]))
    end
  end
  taken[#taken + 1] = members[i]
  if left[1] then rest = {members[i + 1], table.concat(left, ' ')} end
end
if taken[1] then redis.call('ZREM', DUE, unpack(taken)) end
if rest then redis.call('ZADD', DUE, rest[1], rest[2]) end
tell(cx, '')
return {'', cx.now, overdue, (rest or 2 * #taken < #members or #taken == DUE_PACKS) and 1 or 0}
