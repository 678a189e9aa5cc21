-- Purpose: read the schedules of a queue: those that are due, all, or one.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (due, all, one), 2 the name of the one ('' otherwise)
-- Returns: {now ms, version of the schedules that came from settings, how many schedules there are, when the
--       next run starts that is not due yet (ms, '' for none), then for each schedule its name and its fields}.
--       A schedule whose key is not a hash is counted and left out.
--       A schedule that no process can run stays due, so all that are due are read, at most MAX_SCHEDULES.
-- include: open, int
local cx, known = open('schedule_set')
if cx.err then return cx end
local names
if ARGV[1] == 'one' then
  names = {ARGV[2]}
elseif ARGV[1] == 'all' then
  names = redis.call('ZRANGE', SCHEDULES, 0, MAX_SCHEDULES - 1)
else
  names = redis.call('ZRANGE', SCHEDULES, '-inf', cx.at, 'BYSCORE', 'LIMIT', '0', MAX_SCHEDULES)
end
local first = redis.call('ZRANGE', SCHEDULES, '(' .. cx.at, '+inf', 'BYSCORE', 'LIMIT', '0', '1', 'WITHSCORES')
local starts = first[2] and first[2] ~= 'inf' and int(tonumber(first[2])) or ''
local reply = {int(cx.now), tonumber(known[6] or '0'), redis.call('ZCARD', SCHEDULES), starts}
for _, name in ipairs(names) do
  local key = SCHEDULE .. name
  local fields = redis.pcall('HGETALL', key)
  -- One that is damaged is left out and holds no other.
  if not fields.err and fields[1] then
    reply[#reply + 1] = name
    reply[#reply + 1] = fields
  end
end
return reply
