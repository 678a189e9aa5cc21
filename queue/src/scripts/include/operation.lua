-- Operations: acts on many jobs. The hash of an operation has its `plan`, its `state` since `since`, the
-- number of its next step (`seq`), where its walk continues (`cursor`), and its figures.
-- include: append, int

-- Puts an operation into a state. Only active operations are walked.
local function enter(cx, id, state)
  local key = OPERATION .. id
  redis.call('HSET', key, 'state', state, 'since', cx.at)
  redis.call('HINCRBY', STATS, 'operation:' .. state, 1)
  if state == 'counting' or state == 'running' then
    redis.call('ZADD', OPERATING, cx.at, id)
    if state == 'running' then redis.call('HSETNX', key, 'started', cx.at) end
  else
    redis.call('ZREM', OPERATING, id)
  end
  if state == 'aborted' or state == 'done' or state == 'failed' then redis.call('HSET', key, 'ended', cx.at) end
end
-- Appends a line about what somebody did to an operation.
local function append_deed(id, line) append(OPERATION .. id, 'deeds', line, HISTORY_BYTES, HISTORY_LINES) end
-- Stores how far a walk is. It continues at `cursor`, or has ended with ''. Returns whether it has ended.
local function store_step(id, seq, cursor, examined)
  redis.call('HSET', OPERATION .. id, 'seq', int(tonumber(seq) + 1), 'cursor', cursor, 'examined', examined)
  return cursor == ''
end
