-- Purpose: read a part of the rows, the newest first.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 see open.lua, 2 the highest and 3 the lowest score (as for ZRANGE), 4 rows at most
-- Returns: {id, score, row or '', ...}
local found = redis.call('ZRANGE', INDEX, ARGV[2], ARGV[3], 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[4], 'WITHSCORES')
local page = {}
for place = 1, #found, 2 do
  page[#page + 1] = found[place]
  page[#page + 1] = found[place + 1]
  page[#page + 1] = redis.call('HGET', ROWS, found[place]) or ''
end
return page
