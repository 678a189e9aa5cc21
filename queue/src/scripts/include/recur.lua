-- Counts that an attempt of a job failed which an operation set going. Each such job counts once: its
-- first failure since. The operation stops itself when `stop` jobs, or a multiple of it, failed of one
-- cause.
-- include: fingerprint, state, operation
local function recur(cx, key, class, kind, normal)
  local id = field_of(key, 'operation')
  if not id then return end
  redis.call('HDEL', key, 'operation')
  local operation = OPERATION .. id
  local known = redis.call('HMGET', operation, 'state', 'stop')
  if not known[1] then return end
  redis.call('HINCRBY', operation, 'again', 1)
  local fingerprint = fingerprint_of(class, kind, normal)
  local field = 'again:' .. fingerprint
  if redis.call('HLEN', operation) >= OPERATION_FIELDS and redis.call('HEXISTS', operation, field) == 0 then return end
  local n, stop = redis.call('HINCRBY', operation, field, 1), tonumber(known[2] or 0)
  if stop > 0 and n % stop == 0 and (known[1] == 'running' or known[1] == 'paused') then
    enter(cx, id, 'stopped')
    redis.call('HSET', operation, 'stopped_by', fingerprint)
  end
end
