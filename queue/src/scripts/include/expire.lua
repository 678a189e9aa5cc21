-- Ends a job whose deadline passed. The caller takes it out of the index of its state.
-- include: append_history, bury, moves
local function expire(cx, id, key, body, text, kind, deadline)
  local said = 'the deadline passed before the job could run'
  append_history(key, cjson.encode({at = cx.now, attempt = 0, class = 'expired', message = said .. ': ' .. deadline}))
  redis.call('HINCRBY', key, 'failed:expired', 1)
  bury(cx, id, key, body, text, kind, 'expired', said, said)
  move(cx, 'expired', id)
end
