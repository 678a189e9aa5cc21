-- Purpose: read one row.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 see open.lua, 2 id
-- Returns: {score, row}, '' for what is not there
return {redis.call('ZSCORE', INDEX, ARGV[2]) or '', redis.call('HGET', ROWS, ARGV[2]) or ''}
