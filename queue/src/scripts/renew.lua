-- Purpose: extend the leases that one worker still holds.
-- KEYS: 1 running, 2 stats
-- ARGV: 1 job key prefix, 2 lease in ms, 3 worker, 4 number of leases (at most
--       256), then for each: id, token
-- Returns: the ids whose lease is lost. A lease that somebody else has by now is
--       counted as a refused write; one that its own worker has just ended is not.
local n = tonumber(ARGV[4])
local until_ms = int(math.floor(micros() / 1000) + tonumber(ARGV[2]))
local lost, held, refused = {}, {}, 0
for i = 0, n - 1 do
  local id = ARGV[5 + i * 2]
  local job = redis.call('HMGET', ARGV[1] .. id, 'token', 'worker', 'state')
  if job[1] == ARGV[6 + i * 2] and job[2] == ARGV[3] and job[3] == 'running' then
    held[#held + 1] = until_ms
    held[#held + 1] = id
  else
    lost[#lost + 1] = id
    if job[1] ~= ARGV[6 + i * 2] or job[2] ~= ARGV[3] then refused = refused + 1 end
  end
end
if #held > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(held)) end
if refused > 0 then redis.call('HINCRBY', KEYS[2], 'refused', refused) end
return lost
