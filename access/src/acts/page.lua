#!lua flags=no-writes
-- Reads entries of both streams of the audit log, the newest first.
--
-- KEYS: acts, refusals, open
-- ARGV: where acts end and where refusals end (an end of XREVRANGE, '' for none of them), entries of
--       each at most
-- Returns: now (ms), acts, refusals; each entry as its id, the id of its intent ('' for none), the act
--          (JSON), and 1 if it is an intent without a result.
local function read(stream, last)
  local entries = {}
  if last == '' then
    return entries
  end
  for _, entry in ipairs(redis.call('XREVRANGE', stream, last, '-', 'COUNT', ARGV[3])) do
    local id, fields, found = entry[1], entry[2], {}
    for i = 1, #fields, 2 do
      found[fields[i]] = fields[i + 1]
    end
    local is_open = redis.call('ZSCORE', KEYS[3], id) and 1 or 0
    entries[#entries + 1] = { id, found['of'] or '', found['act'] or '', is_open }
  end
  return entries
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return { now, read(KEYS[1], ARGV[1]), read(KEYS[2], ARGV[2]) }
