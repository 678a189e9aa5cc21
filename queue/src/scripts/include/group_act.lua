-- What operators did about the jobs of a group, and what became of these jobs. `group_acts:GROUP` has by act
-- `since when (ms) retried succeeded again other cancelled|by whom`: how many jobs the act retried, and how many of these
-- succeeded, died of the same cause again, died of another one, were cancelled. The others have not ended.
-- The field `act` of a job is the group and the act that retried it.
-- include: int, group

local COUNT_OF = {retried = 2, succeeded = 3, again = 4, other = 5, cancelled = 6}
-- Counts a job for an act, if the act is kept.
local function count_act(fingerprint, act, what)
  local numbers, by = string.match(redis.call('HGET', GROUP_ACTS .. fingerprint, act) or '', '^([%d ]+)|(.*)$')
  if not numbers then return end
  local counts = {}
  for number in string.gmatch(numbers, '%d+') do counts[#counts + 1] = number end
  local nth = COUNT_OF[what]
  counts[nth] = int((tonumber(counts[nth]) or 0) + 1)
  redis.call('HSET', GROUP_ACTS .. fingerprint, act, table.concat(counts, ' ') .. '|' .. by)
end
-- Notes that an operator retries a job that died of the group's cause. The newest acts are kept.
local function begin_act(cx, key, fingerprint, act, by)
  local acts = GROUP_ACTS .. fingerprint
  if redis.call('HSETNX', acts, act, cx.at .. ' 0 0 0 0 0|' .. by) == 1 and redis.call('HLEN', acts) > GROUP_ACTS_KEPT then
    local all, oldest, since = redis.call('HGETALL', acts), nil, math.huge
    for i = 1, #all, 2 do
      local at = tonumber(string.match(all[i + 1], '^%d+'))
      if all[i] ~= act and at < since then oldest, since = all[i], at end
    end
    redis.call('HDEL', acts, oldest)
  end
  redis.call('HSET', key, 'act', fingerprint .. ' ' .. act)
  count_act(fingerprint, act, 'retried')
end
-- Notes what became of a job that an operator had retried: `succeeded`, `cancelled`, or for `dead` whether it died
-- of that cause again.
local function end_act(key, what, cause)
  local told = redis.call('HGET', key, 'act')
  if not told then return end
  redis.call('HDEL', key, 'act')
  local fingerprint, act = string.match(told, '^(%x+) (.*)$')
  if what == 'dead' then what = fingerprint == cause and 'again' or 'other' end
  if fingerprint then count_act(fingerprint, act, what) end
end
-- A job that failed before succeeds or is cancelled: it has no cause any more.
local function end_cause(cx, id, key, what)
  leave_cause(cx, id, key)
  end_act(key, what)
end
