-- Purpose: add what a worker counted to the histograms of an hour. A repeated call adds nothing, and
--       an hour has a bounded number of fields: what does not fit is counted as `*`.
-- KEYS: 1 control, 2 none
-- ARGV: 1 worker, 2 number of the call, which grows from call to call, 3 hour (hours since 1970), then
--       pairs (at most MAX_BATCH): field (`route|stage|bucket` or `route|s`), and how much is added
-- Returns: 1, or 0 where it was added before.
-- include: open, clocks
local cx = open()
if cx.err then return cx end
local key, by = CLOCKS .. ARGV[3], 'by|' .. ARGV[1]
if tonumber(redis.call('HGET', key, by) or '0') >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', key, by, ARGV[2])
redis.call('PEXPIRE', key, CLOCKS_MS)
for i = 4, #ARGV, 2 do
  count_times(key, ARGV[i], ARGV[i + 1])
end
return 1
