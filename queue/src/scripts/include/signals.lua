-- Signals. A condition that a handler parks a job for is met by a signal, which carries a payload
-- (JSON). `signal:<condition>` keeps the first payload, so a job that waits later finds it.
-- include: state, append_history, moves, put

-- The payload of a kept signal, or false.
local function payload_of(condition) return redis.call('HGET', SIGNAL .. condition, 'payload') end
-- When the wait of a job for a condition ends (ms); nil for never. The first wait counts, however
-- often the job is parked for the condition. `within` is a length in ms, or ''.
local function wait_end(cx, key, condition, within)
  if within == '' then
    redis.call('HDEL', key, 'until:' .. condition)
    return nil
  end
  redis.call('HSETNX', key, 'until:' .. condition, string.format('%d', cx.now + within))
  return tonumber(redis.call('HGET', key, 'until:' .. condition))
end
-- Whether the job has an answer to a wait for the condition. A handler that parks the job for the
-- condition again does not look at the answer, and would be called again and again.
local function is_answered(key, condition) return redis.call('HEXISTS', key, 'signal:' .. condition) == 1 end
-- Answers the wait of a job and makes the job ready; `payload` is false where the wait ran out of
-- time. `place` is when the job should run. The job must be in no index.
local function answer_wait(cx, id, key, text, lane, condition, payload, place)
  redis.call('HSET', key, 'signal:' .. condition, payload and 'S' .. cx.at .. ' ' .. payload or 'T' .. cx.at)
  redis.call('HDEL', key, 'until:' .. condition)
  if payload then redis.call('HSET', SIGNAL .. condition, 'job', id) end
  append_history(key, cjson.encode({at = cx.now, did = payload and 'signalled' or 'waited', note = condition}))
  become(cx, key, 'ready', text)
  put(cx, id, lane, place)
  move(cx, payload and 'signalled' or 'lapsed', id)
end
