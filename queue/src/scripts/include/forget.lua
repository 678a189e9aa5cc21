-- Forgets a finished job. Where `keeps`, a row about its verdict stays, if an outcome was expected. Where
-- `erases`, nothing stays that only this job said.
-- Returns the bytes that were read for it.
-- include: job, group, verdict
local function forget(cx, id, key, keeps, erases)
  local body = redis.call('HGET', key, 'job')
  if body then
    -- A damaged job is forgotten like any other.
    local meta = meta_of(body)
    if keeps and expectation_of(body) ~= '' then
      keep_verdict(cx, id, key, body, meta)
    elseif type(meta[1]) == 'string' then
      redis.call('ZREM', SUBJECTS, meta[1] .. '\0' .. id)
    end
  end
  -- A job may come again under this id, with another deadline or none.
  redis.call('ZREM', EXPIRING, id)
  leave_group(cx, id, key, erases)
  redis.call('DEL', key)
  return body and #body or 0
end
