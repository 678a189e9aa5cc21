-- Purpose: forget finished jobs that are older than the retention.
-- KEYS: 1 succeeded or dead, 2 subjects
-- ARGV: 1 job key prefix, 2 retention in ms, 3 bound on jobs (at most 256)
-- Returns: the number of jobs forgotten.
local before = int(math.floor(micros() / 1000) - tonumber(ARGV[2]))
local ids = redis.call('ZRANGE', KEYS[1], '-inf', before, 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(ids) do
  local key = ARGV[1] .. id
  local body = redis.call('HGET', key, 'job')
  if body then
    -- Only the meta line is read; the arguments behind it may be anything.
    local line = string.sub(body, 1, (string.find(body, '\n', 1, true) or #body + 1) - 1)
    -- A damaged job is forgotten like any other.
    local ok, meta = pcall(cjson.decode, line)
    if ok and type(meta) == 'table' and type(meta[4]) == 'string' then redis.call('ZREM', KEYS[2], meta[4] .. '\0' .. id) end
  end
  redis.call('DEL', key)
end
if #ids > 0 then redis.call('ZREM', KEYS[1], unpack(ids)) end
return #ids
