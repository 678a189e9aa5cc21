-- Purpose: forget finished jobs that are older than the retention.
-- KEYS: 1 control
-- ARGV: 1 state (succeeded, dead, cancelled), 2 retention in ms, 3 bound on jobs (at
--       most 128)
-- Returns: the number of jobs forgotten.
local INDEX = {succeeded = SUCCEEDED, dead = DEAD, cancelled = CANCELLED}
local index = INDEX[ARGV[1]]
if not index then return redis.error_reply('ARGS trim: `' .. ARGV[1] .. '` is no state that a job ends in') end
local before = int(now - tonumber(ARGV[2]))
local ids = redis.call('ZRANGE', index, '-inf', before, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(ids) do
  forget(id, JOB .. id)
  move('forgotten', id)
end
if #ids > 0 then redis.call('ZREM', index, unpack(ids)) end
tell('')
return #ids
