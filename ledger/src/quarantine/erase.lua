-- Purpose: forget the row of one message, because a person asked for that.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 to 6 see open.lua and forget.lua, 7 id
-- Returns: 1 if there was a row, else 0
local id = ARGV[7]
if not redis.call('ZSCORE', INDEX, id) then return 0 end
drop(id)
settle()
return 1
