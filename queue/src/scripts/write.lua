-- Purpose: one fenced write of a running attempt: its progress, the beginning of an effect, the result
--       of a completed step, or a line of its log.
-- KEYS: 1 control, 2 none
-- ARGV: 1 id, 2 token, 3 worker, 4 what (progress, begin, refused, step, log), 5 name (of the step or
--       effect; the mark that the progress leaves in the timeline, '' for none), 6 value
--       (JSON), 7 cap on the log or marks in bytes, or the digest of the arguments that the
--       step's result was made from ('' for any), 8 the cap in lines
-- Returns: 1 when it is stored, 0 when the attempt is stale.
-- include: open, fence, append
local cx = open()
if cx.err then return cx end
local key = JOB .. ARGV[1]
if not is_held(redis.call('HGET', key, 'state'), fence_of(ARGV[2], ARGV[3])) then
  redis.call('HINCRBY', STATS, 'refused', 1)
  return 0
end
-- Of one name there is a result or a beginning, never both.
local function stored(name, result)
  local made_from = ARGV[7] ~= '' and '"args":"' .. ARGV[7] .. '",' or ''
  redis.call('HDEL', key, 'step:' .. ARGV[5], 'begun:' .. ARGV[5])
  redis.call('HSET', key, name .. ':' .. ARGV[5], '{"at":' .. cx.at .. ',' .. made_from .. '"result":' .. result .. '}')
end
if ARGV[4] == 'step' or ARGV[4] == 'begin' then
  -- A stored result stays, unless it was made from other arguments.
  local there = redis.call('HGET', key, 'step:' .. ARGV[5])
  local args = there and string.match(there, '^{"at":%d+,"args":"(%x+)"')
  if not there or args and args ~= ARGV[7] then
    if ARGV[4] == 'step' then stored('step', ARGV[6]) else stored('begun', 'null') end
  end
elseif ARGV[4] == 'refused' then
  redis.call('HDEL', key, 'begun:' .. ARGV[5])
elseif ARGV[4] == 'progress' then
  redis.call('HSET', key, 'progress', ARGV[6])
  if ARGV[5] ~= '' then append(key, 'marks', cx.at .. ' ' .. ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])) end
else
  append(key, 'log', cx.at .. ' ' .. ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]))
end
redis.call('HINCRBY', key, 'writes', 1)
redis.call('PUBLISH', CHANGES, ARGV[1])
return 1
