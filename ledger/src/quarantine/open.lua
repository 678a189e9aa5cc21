-- What every script of the ledger's quarantine begins with.
-- KEYS: 1 control, 2 book, 3 quarantine, 4 rows, 5 notes
-- ARGV: 1 schema
local CONTROL, BOOK, INDEX, ROWS, NOTES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- Nothing is written if a key has another type or layout. A user of Redis need not be permitted TYPE.
for place, length in ipairs({'HLEN', 'HLEN', 'ZCARD', 'HLEN', 'ZCARD'}) do
  local found = redis.pcall(length, KEYS[place])
  if type(found) == 'table' and found.err then
    if not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
    local expected = length == 'HLEN' and 'hash' or 'sorted set'
    return redis.error_reply('DAMAGED `' .. KEYS[place] .. '` is not a ' .. expected)
  end
end
local schema = redis.call('HGET', CONTROL, 'schema')
if schema and schema ~= ARGV[1] then return redis.error_reply('LAYOUT ' .. schema) end
-- A whole number in full. Lua writes large numbers in scientific notation.
local function int(x) return string.format('%.0f', x) end
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
