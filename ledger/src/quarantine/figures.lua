-- Purpose: read the book, and what the rows come to, at one moment.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 see open.lua
-- Returns: {now (ms), rows, bytes, copies, score of the oldest row or '', moves and counts}
local totals = redis.call('HMGET', CONTROL, 'bytes', 'copies')
local oldest = redis.call('ZRANGE', INDEX, 0, 0, 'WITHSCORES')
return {now, redis.call('ZCARD', INDEX), totals[1] or '0', totals[2] or '0', oldest[2] or '', redis.call('HGETALL', BOOK)}
