-- Purpose: record one message in quarantine: count it once, and keep a row about it.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 to 6 see open.lua and forget.lua, 7 id, 8 reason, 9 facts (JSON)
-- Returns: {how often the message came, 1 if the book counts it from now on, forgotten rows}
local id, reason = ARGV[7], ARGV[8]
if id == '' or not string.match(reason, '^[%w_]+$') then
  return redis.error_reply('ARGS record: `' .. id .. '` for `' .. reason .. '`')
end
local known = redis.call('ZSCORE', INDEX, id)
local old = redis.call('HGET', ROWS, id)
local times, is_new = 0, 0
if known then
  local came, _, before = parse(old)
  times = came
  count('received>duplicate|' .. reason)
  if before ~= reason then
    -- The bridge judges it by other rules than before.
    count('quarantined>changed|' .. before)
    count('changed>quarantined|' .. reason)
  end
else
  local until_ms = tonumber(redis.call('ZSCORE', NOTES, id) or 0)
  if until_ms > now then
    count('received>duplicate|' .. reason)
    count('forgotten>quarantined|' .. reason)
  else
    is_new = 1
    count('received>quarantined|' .. reason)
  end
  redis.call('ZREM', NOTES, id)
  -- A page continues by score, so no two scores are equal.
  local score = micros
  for _ = 1, 64 do
    if redis.call('ZCOUNT', INDEX, int(score), int(score)) == 0 then break end
    score = score + 1
  end
  redis.call('ZADD', INDEX, int(score), id)
end
local row = int(times + 1) .. ' ' .. int(now) .. ' ' .. reason .. ' ' .. ARGV[9]
redis.call('HSET', ROWS, id, row)
bytes = bytes + weight(row) - (old and weight(old) or 0)
copies = copies + 1
return {times + 1, is_new, forget()}
