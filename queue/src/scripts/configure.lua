-- Purpose: store a configuration of the queue as its next version, unless another version is
--       stored than the caller knows; or say that its limits are set.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (store, done), 2 the version that the caller knows, 0 for none; for store: 3 the
--       document, as JSON, 4 its author, without line feeds, 5 versions that are kept (at most
--       100)
-- Returns: {1 where it is done, the version that is stored now}. The same document of the same
--       author is stored once: a caller whose reply was lost may repeat the call.
-- include: open, int
local cx = open()
if cx.err then return cx end
local stored = redis.call('HMGET', CONFIGURATION, 'version', 'document', 'by')
local version, known = tonumber(stored[1] or 0), tonumber(ARGV[2])
if ARGV[1] == 'done' then
  if version ~= known then return {0, version} end
  redis.call('HDEL', CONFIGURATION, 'unset')
  return {1, version}
end
if version == known + 1 and stored[2] == ARGV[3] and stored[3] == ARGV[4] then return {1, version} end
if version ~= known then return {0, version} end
version = version + 1
redis.call('HSET', CONFIGURATION, 'version', version, 'at', int(cx.now), 'by', ARGV[4], 'document', ARGV[3], 'unset', 1)
redis.call('LPUSH', CONFIGURATIONS, version .. ' ' .. int(cx.now) .. ' ' .. ARGV[4] .. '\n' .. ARGV[3])
redis.call('LTRIM', CONFIGURATIONS, 0, math.min(100, tonumber(ARGV[5])) - 1)
redis.call('PUBLISH', CONFIGURED, version)
return {1, version}
