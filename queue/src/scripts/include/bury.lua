-- Ends a job as dead. Dead jobs are grouped by class, kind and normalised message; the group
-- is known by the first 16 digits of their SHA-1.
-- include: job, state, books, fingerprint, recur
local function bury(cx, id, key, body, text, kind, class, normal, said)
  local fingerprint = fingerprint_of(class, kind, normal)
  become(cx, key, 'dead', text)
  redis.call('HSET', key, 'group', fingerprint)
  redis.call('ZADD', DEAD, cx.at, id)
  redis.call('ZADD', MEMBERS .. fingerprint, cx.at, id)
  redis.call('ZADD', GROUPS, cx.at, fingerprint)
  local group = GROUP .. fingerprint
  if redis.call('HSETNX', group, 'first', cx.at) == 1 then
    redis.call('HSET', group, 'class', class, 'kind', kind, 'normal', normal)
  end
  redis.call('HSET', group, 'last', cx.at, 'sample', id, 'said', said)
  redis.call('HINCRBY', group, 'count', 1)
  recur(cx, key, class, kind, normal)
  end_expectation(cx, id, key, body, 'm')
  if expectation_of(body) ~= '' then
    figure(cx, 'c|' .. fingerprint .. '|' .. class .. '|' .. kind .. '|' .. string.sub(normal, 1, CAUSE_BYTES), 'c|*', 1)
  end
end
