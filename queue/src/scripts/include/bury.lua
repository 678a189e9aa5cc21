-- Ends a job as dead. Dead jobs are grouped by class, kind and normalised message; the group
-- is known by the first 16 digits of their SHA-1.
-- include: job, state, books
local function bury(cx, id, key, body, text, kind, class, normal, said)
  local fingerprint = string.sub(redis.sha1hex(class .. '\n' .. kind .. '\n' .. normal), 1, 16)
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
  end_expectation(cx, id, key, body, 'm')
  if expectation_of(body) ~= '' then
    figure(cx, 'c|' .. fingerprint .. '|' .. class .. '|' .. kind .. '|' .. string.sub(normal, 1, CAUSE_BYTES), 'c|*', 1)
  end
end
