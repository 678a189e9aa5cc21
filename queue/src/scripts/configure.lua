-- Purpose: store a configuration of the queue as its next version, unless another version is
--       stored than the caller knows; or say that its limits are set. `unset` is the last version
--       whose limits were all set, as long as those of the stored one are not.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (store, done), 2 the version that the caller knows, 0 for none; for store: 3 the
--       document, as JSON, 4 its author, without line feeds, 5 versions that are kept (at most
--       100); for done: 3 when that version was stored (ms)
-- Returns: {1 where it is done, the version that is stored now}. The same document of the same
--       author is stored once: a caller whose reply was lost may repeat the call.
-- include: open, int
local cx = open()
if cx.err then return cx end
local version, known = tonumber(redis.call('HGET', CONFIGURATION, 'version') or 0), tonumber(ARGV[2])
if ARGV[1] == 'done' then
  if version ~= known or redis.call('HGET', CONFIGURATION, 'at') ~= ARGV[3] then return {0, version} end
  redis.call('HDEL', CONFIGURATION, 'unset')
  return {1, version}
end
local text = ARGV[4] .. '\n' .. ARGV[3]
if version == known + 1 then
  local latest = redis.call('LINDEX', CONFIGURATIONS, 0)
  if latest and string.match(latest, '^%d+ %d+ (.*)$') == text then return {1, version} end
end
if version ~= known then return {0, version} end
redis.call('HSETNX', CONFIGURATION, 'unset', version)
version = version + 1
redis.call('HSET', CONFIGURATION, 'version', version, 'at', cx.at)
redis.call('LPUSH', CONFIGURATIONS, int(version) .. ' ' .. cx.at .. ' ' .. text)
redis.call('LTRIM', CONFIGURATIONS, 0, math.min(100, tonumber(ARGV[5])) - 1)
redis.call('PUBLISH', CONFIGURED, version)
return {1, version}
