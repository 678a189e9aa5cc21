-- Purpose: drop entries of the outbox that every group has acknowledged; without a group, all
--       but the newest. In one call, because a group that joins between reading the groups and
--       dropping entries would lose what it was to read.
-- KEYS: 1 control, 2 none
-- ARGV: 1 entries that are kept where there is no group, 2 bound on dropped entries (at most
--       1000)
-- Returns: how many were dropped.
-- include: open
local cx = open()
if cx.err then return cx end
if redis.call('EXISTS', OUTBOX) == 0 then return 0 end
local groups = redis.call('XINFO', 'GROUPS', OUTBOX)
if #groups == 0 then return redis.call('XTRIM', OUTBOX, 'MAXLEN', '~', ARGV[1], 'LIMIT', ARGV[2]) end
local oldest, oldest_ms, oldest_n = nil, math.huge, math.huge
for _, fields in ipairs(groups) do
  local group = {}
  for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
  -- The first entry that was taken and not acknowledged, or else the last that was taken.
  local needed = redis.call('XPENDING', OUTBOX, group.name)[2] or group['last-delivered-id']
  local ms, n = string.match(needed, '^(%d+)-(%d+)$')
  ms, n = tonumber(ms), tonumber(n)
  if ms < oldest_ms or ms == oldest_ms and n < oldest_n then
    oldest, oldest_ms, oldest_n = needed, ms, n
  end
end
return redis.call('XTRIM', OUTBOX, 'MINID', '~', oldest, 'LIMIT', ARGV[2])
