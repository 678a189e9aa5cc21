-- Purpose: create an operation on many jobs, move it to another state, or store how far it has counted.
--       `change.lua` makes the changes of an operation.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (create, move, count), 2 the operation's id, and of
--       create: 3 plan (JSON), 4 state (counting, running), 5 failures of one cause that stop it (0
--       for never), 6 a line about who did it, 7 how many may be active, 8 for how long (ms) and 9 how many
--       are kept that are over, 10 whether its start needs the number of jobs (1, else '')
--       move: 3 the states that allow it, each between blanks, 4 state, 5 a line about who did it, 6 how
--       many jobs it must have counted ('' for any, where its start does not need the number), 7 why it
--       failed ('' where it did not), 8 how many may be active
--       count: 3 the number of the step, 4 where the walk continues ('' for nowhere), 5 how many jobs
--       were examined, 6 the counts (JSON), 7 how many jobs would be changed
-- Returns: create: {1, now (ms)}, also where it was created before, or {0, active ones}. move: {1, state} where it is done, {0, state}
--       where the state does not allow it ('' for no such operation), {2, jobs counted} where the number
--       is another or is needed, {3, active ones} where no more may be active. count: {1 where it is stored, else 0; state}.
-- include: open, int, operation
local cx = open()
if cx.err then return cx end
local id = ARGV[2]
local key = OPERATION .. id
local function forget_old(kept_ms, kept)
  local surplus = redis.call('ZCARD', OPERATIONS) - kept
  local oldest = redis.call('ZRANGE', OPERATIONS, 0, TRIMMED_OPERATIONS - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    local state = redis.call('HGET', OPERATION .. oldest[i], 'state')
    -- What waits for a person ends by its age only, so that nothing pushes it out.
    local is_over = not state or state == 'done' or state == 'aborted' or state == 'failed'
    local is_old = surplus > 0 and is_over or tonumber(oldest[i + 1]) < cx.now - kept_ms
    if is_old and not redis.call('ZSCORE', OPERATING, oldest[i]) then
      redis.call('DEL', OPERATION .. oldest[i], REFUSALS .. oldest[i])
      redis.call('ZREM', OPERATIONS, oldest[i])
      surplus = surplus - 1
    end
  end
end

if ARGV[1] == 'create' then
  -- The call is repeated where its reply was lost.
  if redis.call('EXISTS', key) == 1 then return {1, cx.now} end
  local active = redis.call('ZCARD', OPERATING)
  if active >= tonumber(ARGV[7]) then return {0, active} end
  redis.call('HSET', key, 'plan', ARGV[3], 'created', cx.at, 'stop', ARGV[5], 'seq', 0,
    'destroys', ARGV[10])
  redis.call('ZADD', OPERATIONS, cx.at, id)
  enter(cx, id, ARGV[4])
  append_deed(id, ARGV[6])
  forget_old(tonumber(ARGV[8]), tonumber(ARGV[9]))
  return {1, cx.now}
end
local known = redis.call('HMGET', key, 'state', 'seq', 'would', 'destroys')
local state = known[1]
if not state then return {0, ''} end
if ARGV[1] == 'move' then
  if not string.find(ARGV[3], ' ' .. state .. ' ', 1, true) then return {0, state} end
  local would = tonumber(known[3] or 0)
  local needs_number = state == 'counted' and ARGV[4] == 'running' and known[4] == '1'
  if needs_number and ARGV[6] == '' or ARGV[6] ~= '' and tonumber(ARGV[6]) ~= would then
    return {2, int(would)}
  end
  local active = redis.call('ZCARD', OPERATING)
  if ARGV[4] == 'running' and active >= tonumber(ARGV[8]) then return {3, int(active)} end
  enter(cx, id, ARGV[4])
  if ARGV[5] ~= '' then append_deed(id, ARGV[5]) end
  if ARGV[7] ~= '' then redis.call('HSET', key, 'why', ARGV[7]) end
  -- The walk that changes begins where the one that counted began.
  if state == 'counted' then redis.call('HSET', key, 'cursor', '', 'examined', 0) end
  return {1, ARGV[4]}
end
if state ~= 'counting' or known[2] ~= ARGV[3] then return {0, state} end
redis.call('HSET', key, 'tally', ARGV[6], 'would', ARGV[7])
if store_step(id, ARGV[3], ARGV[4], ARGV[5]) then
  enter(cx, id, 'counted')
  return {1, 'counted'}
end
return {1, state}
