#!lua
-- Stores a session. Ends the sessions and tokens of the same person that stand for other rights.
--
-- KEYS: session, tokens, tokens:used, person
-- ARGV: the session, id of its token ('' for none), id of its link ('' for none), hash of its person
--       ('' for none), ms until it expires, what the person may do, hash of the session, its absolute
--       end (ms), now (ms), sessions of a person at most, what the keys of sessions begin with
-- Returns: 1, or 0 if a session with this id is there.
local session, token, link, person, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local power, hash, ends, now = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local most, sessions = tonumber(ARGV[10]), ARGV[11]
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'session', session, 'expires', string.format('%d', now + tonumber(ttl)))
if token ~= '' then
  redis.call('HSET', KEYS[1], 'token', token)
end
if link ~= '' then
  redis.call('HSET', KEYS[1], 'link', link)
end
if person ~= '' then
  redis.call('HSET', KEYS[1], 'person', person)
  -- A field is `s:` and the hash of a session, or `t:` and the id of a token. Its value is the
  -- absolute end and what it stands for.
  local entries = redis.call('HGETALL', KEYS[4])
  local left, last = 0, ends
  for i = 1, #entries, 2 do
    local at, may = string.match(entries[i + 1], '^(%d+) (.*)$')
    local is_of_now = tonumber(at) > now and may == power and left < most - 1
    if is_of_now then
      left = left + 1
      last = math.max(last, tonumber(at))
    else
      local name = string.sub(entries[i], 3)
      if string.sub(entries[i], 1, 2) == 's:' then
        redis.call('DEL', sessions .. name)
      else
        redis.call('HDEL', KEYS[2], name)
        redis.call('HDEL', KEYS[3], name)
      end
      redis.call('HDEL', KEYS[4], entries[i])
    end
  end
  redis.call('HSET', KEYS[4], 's:' .. hash, string.format('%d %s', ends, power))
  redis.call('PEXPIRE', KEYS[4], last - now)
end
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
