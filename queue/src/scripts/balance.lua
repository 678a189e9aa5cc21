-- Purpose: read the books together with what they are compared with, at one moment.
-- KEYS: 1 control, 2 none
-- ARGV: none
-- Returns: {books (field, count...), jobs that have not ended, indexes of expectations (`route|account`,
--       size...), now ms}
-- include: open
local cx, control = open('ready:0', 'ready:1', 'ready:2', 'ready:3', 'running')
if cx.err then return cx end
local jobs = redis.call('ZCARD', SCHEDULED) + redis.call('ZCARD', PARKED)
for i = 6, 10 do jobs = jobs + (tonumber(control[i]) or 0) end
local books = redis.call('HGETALL', BOOKS)
local indexes, seen = {}, {}
for i = 1, #books, 2 do
  local route = string.match(books[i], '^%d+')
  if route and route ~= '0' and not seen[route] then
    seen[route] = true
    for account in string.gmatch('vnwlpmcx', '.') do
      indexes[#indexes + 1] = route .. '|' .. account
      indexes[#indexes + 1] = redis.call('ZCARD', OUTCOMES .. route .. ':' .. account)
    end
  end
end
return {books, jobs, indexes, cx.now}
