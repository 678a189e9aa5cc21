-- The workers that are there: those that told of themselves lately.

-- At most MAX_WORKERS of them: their names, until when each counts as there (ms, a text), what it
-- tells of itself, and `n`, how many there are.
local function live_workers(cx)
  local read = redis.call('ZRANGE', WORKERS, cx.at, '+inf', 'BYSCORE', 'LIMIT', '0', MAX_WORKERS, 'WITHSCORES')
  local live = {names = {}, untils = {}, facts = {}, n = #read / 2}
  for i = 1, #read, 2 do
    live.names[#live.names + 1] = read[i]
    live.untils[#live.untils + 1] = read[i + 1]
  end
  if live.n == 0 then return live end
  live.facts = redis.call('HMGET', WORKER_FACTS, unpack(live.names))
  if live.n == MAX_WORKERS then live.n = redis.call('ZCOUNT', WORKERS, cx.at, '+inf') end
  return live
end
