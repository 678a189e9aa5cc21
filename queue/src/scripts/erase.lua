-- Purpose: erase what the queue keeps about a subject: jobs that ended, the signals that answered
--       them, and rows about forgotten jobs. The books keep their counts.
-- KEYS: 1 control, 2 none
-- ARGV: 1 subject, then ids that the index of subjects has for it (at most 16)
-- Returns: {jobs, rows, signals that were erased, ids whose jobs have not ended...}; fewer ids are
--       looked at where their jobs have CALL_BYTES.
-- include: open, job, state, forget, forget_signal, moves, verdict
local cx = open()
if cx.err then return cx end
local subject, jobs, rows, signals, kept = ARGV[1], 0, 0, 0, {}
local INDEX = {dead = DEAD, cancelled = CANCELLED}
-- The signals that answered waits of the job.
local function erase_signals(id, key)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local condition = string.match(field, '^signal:(.*)$')
    if condition and redis.call('HGET', SIGNAL .. condition, 'job') == id then signals = signals + forget_signal(condition) end
  end
end
local days = redis.call('ZRANGE', VERDICTS, '0', MAX_PAGE - 1)
for i = 2, #ARGV do
  if cx.read >= CALL_BYTES then break end
  local id = ARGV[i]
  local key = JOB .. id
  local fields = fields_of(key, 'job', 'state')
  local state = state_of(fields[2])
  local is_final = INDEX[state] or state == 'succeeded'
  if fields[1] and meta_of(fields[1])[1] == subject then
    cx.read = cx.read + #fields[1]
    if is_final then
      erase_signals(id, key)
      if state == 'succeeded' then
        redis.call('HINCRBY', CONTROL, 'succeeded', -1)
      else
        redis.call('ZREM', INDEX[state], id)
      end
      forget_verdict(cx, id, key, fields[1])
      forget(cx, id, key, false, true)
      move(cx, 'forgotten', id)
      jobs = jobs + 1
    else
      kept[#kept + 1] = id
    end
  end
  for _, day in ipairs(days) do
    local row = redis.call('HGET', VERDICTS_OF .. day, id)
    if row and is_row_of(row, subject) then
      drop_row(cx, id, row)
      redis.call('HDEL', VERDICTS_OF .. day, id)
      if redis.call('EXISTS', VERDICTS_OF .. day) == 0 then redis.call('ZREM', VERDICTS, day) end
      rows = rows + 1
    end
  end
end
tell(cx, '')
return {jobs, rows, signals, kept}
