-- Ends a job as dead, in the group of its cause.
-- include: job, state, books, group, group_act, recur
local function bury(cx, id, key, body, text, kind, class, normal, said)
  become(cx, key, 'dead', text)
  redis.call('ZADD', DEAD, cx.at, id)
  local fingerprint = join_group(cx, id, key, body, true, kind, class, normal, said)
  end_act(key, 'dead', fingerprint)
  recur(cx, key, class, kind, normal)
  end_expectation(cx, id, key, body, 'm')
  if expectation_of(body) ~= '' then
    figure(cx, 'c|' .. fingerprint .. '|' .. class .. '|' .. kind .. '|' .. string.sub(normal, 1, CAUSE_BYTES), 'c|*', 1)
  end
end
