-- Purpose: forget rows that are too old, where no message comes that would do it.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 to 6 see open.lua and forget.lua
-- Returns: how many rows were forgotten
return forget()
