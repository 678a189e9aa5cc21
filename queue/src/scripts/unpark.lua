-- Purpose: make parked jobs ready whose condition is met, some at a time.
-- KEYS: 1 control, 2 none
-- ARGV: 1 condition, 2 bound (at most 128, or CALL_BYTES), 3 `begin` for all jobs that are parked for
--       it now, `continue` for the rest of an earlier begin, or `some` for no more than the bound
-- Returns: {how many became ready, how many are left; 0 at the end}.
-- include: open, moves, put, release_parked
local cx = open()
if cx.err then return cx end
local how = ARGV[3]
if how ~= 'begin' and how ~= 'some' and how ~= 'continue' then
  return redis.error_reply('ARGS unpark: `' .. how .. '` is none of begin, continue, some')
end
local released, left = release_parked(cx, ARGV[1], ARGV[2], how)
local wake = put_all(cx)
tell(cx, '')
if wake then redis.call('PUBLISH', WAKE, cx.at) end
return {released, left}
