-- Purpose: promote due jobs, take over jobs whose lease expired, and lease up
--       to N ready jobs to one worker. Counts the attempt, so that a job which
--       kills its process still uses up its budget.
--       A call that is repeated under the same number (its answer got lost)
--       leases nothing new: it renews what it had leased and answers with that.
-- KEYS: 1 ready, 2 scheduled, 3 running, 4 dead, 5 stats, 6 the worker's last claim
-- ARGV: 1 job key prefix, 2 wake channel, 3 changes channel, 4 worker,
--       5 N (0 to 256: 0 only promotes and takes over), 6 lease in ms,
--       7 bound on promotions and on take-overs in this call (at most 256),
--       8 crashes a job may survive, 9 history cap in bytes, 10 number of the call
-- Returns: {now ms, ms of the next promotion or expiry (0 for none), jobs taken
--       over, jobs dead of crashes, {id, [field, value...]}...}
local prefix, worker = ARGV[1], ARGV[4]
local want, bound = tonumber(ARGV[5]), tonumber(ARGV[7])
local us = micros()
local now = math.floor(us / 1000)
local at = int(now)
local moved, ready, changed = 0, {}, {}

local due = redis.call('ZRANGE', KEYS[2], '-inf', at, 'BYSCORE', 'LIMIT', 0, bound)
for i, id in ipairs(due) do
  -- An index entry without a job (deleted by hand) is dropped, here and below.
  if redis.call('EXISTS', prefix .. id) == 1 then
    redis.call('HSET', prefix .. id, 'state', 'ready', 'since', at)
    ready[#ready + 1] = int(us + i)
    ready[#ready + 1] = id
    changed[#changed + 1] = id
  end
end
if #due > 0 then redis.call('ZREM', KEYS[2], unpack(due)) end

local expired = redis.call('ZRANGE', KEYS[3], '-inf', at, 'BYSCORE', 'LIMIT', 0, bound)
local crashed, buried = 0, 0
for _, id in ipairs(expired) do
  local key = prefix .. id
  local held = redis.call('HMGET', key, 'token', 'worker', 'released')
  if held[1] then
    local crashes = redis.call('HINCRBY', key, 'failed:crashed', 1)
    append_history(key, cjson.encode({
      at = now, attempt = held[1] - (held[3] or 0), class = 'crashed', worker = held[2],
      message = 'the lease expired: the worker stopped renewing it',
    }), tonumber(ARGV[9]))
    if crashes > tonumber(ARGV[8]) then
      redis.call('HSET', key, 'state', 'dead', 'since', at)
      redis.call('ZADD', KEYS[4], at, id)
      buried = buried + 1
    else
      redis.call('HSET', key, 'state', 'ready', 'since', at)
      -- A job that lost its worker goes before those that never started.
      ready[#ready + 1] = '0'
      ready[#ready + 1] = id
    end
    changed[#changed + 1] = id
    crashed = crashed + 1
  end
end
if #expired > 0 then redis.call('ZREM', KEYS[3], unpack(expired)) end
if crashed > 0 then
  redis.call('HINCRBY', KEYS[5], 'crashed', crashed)
  if buried > 0 then redis.call('HINCRBY', KEYS[5], 'dead', buried) end
end
if #ready > 0 then redis.call('ZADD', KEYS[1], unpack(ready)) end

local jobs, running, leased = {}, {}, {ARGV[10]}
local until_ms = int(now + tonumber(ARGV[6]))
local last = want > 0 and redis.call('GET', KEYS[6])
if last and string.sub(last, 1, #ARGV[10] + 1) == ARGV[10] .. ' ' then
  for id in string.gmatch(string.sub(last, #ARGV[10] + 2), '%S+') do
    local held = redis.call('HMGET', prefix .. id, 'worker', 'state')
    if held[1] == worker and held[2] == 'running' then
      -- The worker counts its lease from this call, not from the lost one.
      redis.call('ZADD', KEYS[3], 'XX', until_ms, id)
      jobs[#jobs + 1] = {id, redis.call('HGETALL', prefix .. id)}
    end
  end
elseif want > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[1], want)
  for i = 1, #popped, 2 do
    local id = popped[i]
    local key = prefix .. id
    if redis.call('EXISTS', key) == 1 then
      redis.call('HINCRBY', key, 'token', 1)
      redis.call('HSET', key, 'state', 'running', 'since', at, 'worker', worker)
      running[#running + 1] = until_ms
      running[#running + 1] = id
      jobs[#jobs + 1] = {id, redis.call('HGETALL', key)}
      leased[#leased + 1] = id
      changed[#changed + 1] = id
    end
  end
  if #running > 0 then
    redis.call('ZADD', KEYS[3], unpack(running))
    redis.call('HINCRBY', KEYS[5], 'claimed', #jobs)
    redis.call('SET', KEYS[6], table.concat(leased, ' '), 'PX', 2 * ARGV[6])
  end
end
if #changed > 0 then redis.call('PUBLISH', ARGV[3], table.concat(changed, ' ')) end
-- What was made ready here and not taken may belong to a worker that sleeps.
if #ready > 0 and redis.call('ZCARD', KEYS[1]) > 0 then redis.call('PUBLISH', ARGV[2], at) end

local next_at = 0
local s = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if s[2] then next_at = tonumber(s[2]) end
local r = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if r[2] and (next_at == 0 or tonumber(r[2]) < next_at) then next_at = tonumber(r[2]) end
local reply = {now, next_at, crashed, buried}
for _, job in ipairs(jobs) do reply[#reply + 1] = job end
return reply
