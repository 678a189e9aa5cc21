-- Prelude, put before every script: the clock and the bounded job history.
-- Times are UTC milliseconds of Redis TIME. Lua prints large numbers in
-- scientific notation, so every number that is stored goes through int().
local function int(x) return string.format('%.0f', x) end

local function micros()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- Appends one JSON line to a job's history and drops the oldest lines beyond
-- the cap in bytes. The newest line is always kept.
local function append_history(key, line, cap)
  local history = redis.call('HGET', key, 'history')
  if history then line = history .. '\n' .. line end
  while #line > cap do
    local cut = string.find(line, '\n', 1, true)
    if not cut then break end
    line = string.sub(line, cut + 1)
  end
  redis.call('HSET', key, 'history', line)
end
