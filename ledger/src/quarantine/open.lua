-- What every script of the ledger's quarantine begins with.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 schema
local CONTROL, BOOK, INDEX, ROWS, NOTES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- Nothing is written if a key has another type or layout.
for place, expected in ipairs({'hash', 'hash', 'zset', 'hash', 'zset'}) do
  local found = redis.call('TYPE', KEYS[place]).ok
  if found ~= 'none' and found ~= expected then
    return redis.error_reply('DAMAGED `' .. KEYS[place] .. '` is a ' .. found .. ' instead of a ' .. expected)
  end
end
local schema = redis.call('HGET', CONTROL, 'schema')
if schema and schema ~= ARGV[1] then return redis.error_reply('LAYOUT ' .. schema) end
-- A whole number in full. Lua writes large numbers in scientific notation.
local function int(x) return string.format('%.0f', x) end
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
