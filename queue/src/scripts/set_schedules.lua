-- Purpose: replace the schedules of a queue that come from settings, all at once, where the version of them is
--       the one that the caller knows. Those that persons made stay.
-- KEYS: 1 control, 2 none
-- ARGV: 1 the version that the caller knows, 0 for none, 2 its author, 3 how many there are (at most
--       MAX_SCHEDULES), then for each: name, definition (JSON), 1 where it keeps its due time if it is there, the
--       next due time (ms), when its run starts (ms)
-- Returns: {what came of it, a version or how many, a name}. `done` and the new version; `conflict` and the
--       version that is stored; `taken` and the name of a schedule that a person made; `full` and how many
--       there would be. Nothing was changed but where it is done.
-- include: open, schedules
local cx, known = open('schedule_set')
if cx.err then return cx end
local version, n = tonumber(known[6] or '0'), tonumber(ARGV[3])
if #ARGV ~= 3 + n * 5 then
  return redis.error_reply('ARGS set_schedules: ' .. #ARGV .. ' arguments do not fit ' .. n .. ' schedules')
end
if version ~= tonumber(ARGV[1]) then return {'conflict', version, ''} end
local stays, there = {}, {}
for i = 1, n do
  local name = ARGV[i * 5 - 1]
  there[i] = redis.call('HMGET', SCHEDULE .. name, 'origin', 'definition')
  if there[i][1] == 'api' then return {'taken', 0, name} end
  stays[name] = true
end
local gone, others = {}, 0
for _, name in ipairs(redis.call('ZRANGE', SCHEDULES, 0, MAX_SCHEDULES - 1)) do
  if redis.call('HGET', SCHEDULE .. name, 'origin') == 'api' then
    others = others + 1
  elseif not stays[name] then
    gone[#gone + 1] = name
  end
end
if others + n > MAX_SCHEDULES then return {'full', others + n, ''} end
for _, name in ipairs(gone) do remove_schedule(name) end
for i = 1, n do
  local p = i * 5 - 1
  if there[i][2] ~= ARGV[p + 1] then
    local keeps = there[i][1] and ARGV[p + 2] == '1'
    define(cx, ARGV[p], ARGV[p + 1], 'settings', ARGV[2], keeps, ARGV[p + 3], ARGV[p + 4])
  end
end
redis.call('HSET', CONTROL, 'schedule_set', version + 1)
return {'done', version + 1, ''}
