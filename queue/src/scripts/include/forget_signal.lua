-- Forgets the signal that is kept for a condition. Returns how many there were.
-- include: int
local function forget_signal(condition)
  local key = SIGNAL .. condition
  local bytes = redis.call('HGET', key, 'bytes') or 0
  redis.call('ZREM', SIGNALS, condition)
  if redis.call('DEL', key) == 0 then return 0 end
  redis.call('HINCRBY', CONTROL, 'signal_bytes', int(-bytes))
  redis.call('HDEL', RELEASING, condition)
  return 1
end
