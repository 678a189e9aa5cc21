-- Purpose: define a schedule that a person makes, or pause, resume or remove one.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (put, pause, resume, remove), 2 name, 3 the version that the caller knows, 0 for none; for put: 4
--       definition, as JSON, 5 its author, 6 1 where it keeps its due time, 7 the next due time (ms), 8 when its
--       run starts (ms); for pause: 4 the author; for resume: 4 the pause that the caller saw, as it is stored
--       ('' for none), 5 the next due time (ms; '' for none), 6 when its run starts (ms; '' for none)
-- Returns: {what came of it, the version that is stored now, 0 for none}. What came of it: `done`, `conflict`
--       (another version is stored, or another pause), `settings` (it comes from settings, which alone define and remove it),
--       `full` (the queue has MAX_SCHEDULES). A repeated call changes nothing.
-- include: open, schedules
local cx = open()
if cx.err then return cx end
local what, name = ARGV[1], ARGV[2]
local key = SCHEDULE .. name
local known = redis.call('HMGET', key, 'version', 'origin', 'definition', 'paused')
local version = known[1] or '0'
if known[2] == 'settings' and (what == 'put' or what == 'remove') then return {'settings', tonumber(version)} end
if what == 'put' and known[3] == ARGV[4] then return {'done', tonumber(version)} end
if version ~= ARGV[3] then return {'conflict', tonumber(version)} end
if what == 'put' then
  if not known[1] and redis.call('ZCARD', SCHEDULES) >= MAX_SCHEDULES then return {'full', 0} end
  return {'done', tonumber(define(cx, name, ARGV[4], 'api', ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]))}
end
if not known[1] then return {'conflict', 0} end
if what == 'pause' then
  redis.call('HSETNX', key, 'paused', cx.at .. ' ' .. ARGV[4])
  redis.call('ZADD', SCHEDULES, '+inf', name)
elseif what == 'resume' then
  if known[4] then
    if known[4] ~= ARGV[4] then return {'conflict', tonumber(version)} end
    redis.call('HDEL', key, 'paused')
    due_at(name, ARGV[5], ARGV[6])
  end
else
  remove_schedule(name)
end
return {'done', tonumber(version)}
