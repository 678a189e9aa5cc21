-- Forgets rows beyond the bounds, a bounded number in one call.
-- ARGV: 2 how long a row is kept (ms), 3 bytes that all rows may have, 4 how long the note of a
--       forgotten row is kept (ms), 5 notes at most, 6 rows to forget in this call at most
local KEEP, MOST_BYTES, REMEMBER = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST_NOTES, AT_ONCE = tonumber(ARGV[5]), tonumber(ARGV[6])
if not (KEEP and MOST_BYTES and REMEMBER and MOST_NOTES and AT_ONCE) then
  return redis.error_reply('ARGS the bounds of the rows are not numbers')
end
local bytes = tonumber(redis.call('HGET', CONTROL, 'bytes') or 0) or 0
local copies = tonumber(redis.call('HGET', CONTROL, 'copies') or 0) or 0
-- What a row takes in Redis: its id and its text, and the entries of a hash and of a sorted set.
local function weight(row) return #row + 250 end
-- How often the message came, when last (ms), and why; nothing if the row is damaged.
local function parse(row)
  local times, last, reason = string.match(row or '', '^(%d+) (%d+) (%S+) ')
  return tonumber(times or 0), tonumber(last or 0), reason or 'damaged'
end
-- A count that another program damaged begins again.
local function count(move)
  local found = redis.call('HGET', BOOK, move)
  if found and not (#found < 16 and string.match(found, '^%d+$')) then redis.call('HSET', BOOK, move, 0) end
  redis.call('HINCRBY', BOOK, move, 1)
end
-- Forgets one row. Its message may come once more if a bridge was killed before its acknowledgement.
local function drop(id)
  local row = redis.call('HGET', ROWS, id)
  local times, last, reason = parse(row)
  redis.call('ZREM', INDEX, id)
  redis.call('HDEL', ROWS, id)
  count('quarantined>forgotten|' .. reason)
  if last + REMEMBER > now then redis.call('ZADD', NOTES, int(last + REMEMBER), id) end
  bytes, copies = bytes - weight(row or ''), copies - times
end
-- Writes what the rows come to.
local function settle()
  if redis.call('ZCARD', INDEX) == 0 then
    bytes, copies = 0, 0
    -- Rows without an entry in the index.
    redis.call('UNLINK', ROWS)
  end
  redis.call('HSET', CONTROL, 'schema', ARGV[1], 'bytes', int(math.max(bytes, 0)),
    'copies', int(math.max(copies, 0)))
end
local function forget()
  local forgotten = 0
  while forgotten < AT_ONCE do
    local oldest = redis.call('ZRANGE', INDEX, 0, 0, 'WITHSCORES')
    local id = oldest[1]
    if not id or (tonumber(oldest[2]) >= micros - KEEP * 1000 and bytes <= MOST_BYTES) then break end
    drop(id)
    forgotten = forgotten + 1
  end
  local old = redis.call('ZRANGE', NOTES, '-inf', now, 'BYSCORE', 'LIMIT', 0, 2 * AT_ONCE)
  if #old > 0 then redis.call('ZREM', NOTES, unpack(old)) end
  local more = math.min(redis.call('ZCARD', NOTES) - MOST_NOTES, 2 * AT_ONCE)
  if more > 0 then redis.call('ZREMRANGEBYRANK', NOTES, 0, more - 1) end
  settle()
  return forgotten
end
