-- Purpose: forget finished jobs that are older than the retention, and within a window no more
--       than a share of the kept ones: a clock that jumps ahead makes every job old. With dead jobs go
--       groups that have had none for long enough.
-- KEYS: 1 control, 2 none
-- ARGV: 1 state (succeeded, dead, cancelled), 2 retention in ms, 3 bound on jobs (at
--       most 128, or CALL_BYTES), 4 the share of kept jobs (0 to 1) that may go within the
--       window, 5 the window in ms
-- Returns: {jobs forgotten, 1 when there are more, 1 when more are due than may go now}.
-- include: open, int, job, state, moves, forget, group, window, relayed
local cx = open()
if cx.err then return cx end
local INDEX = {dead = DEAD, cancelled = CANCELLED}
local state, retention, bound = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local before = math.min(cx.now - retention, relayed_ms())
local index = INDEX[state]
if not index and state ~= 'succeeded' then
  return redis.error_reply('ARGS trim: `' .. state .. '` is no state that a job ends in')
end
local forgotten, more = 0, 0
local kept = index and redis.call('ZCARD', index) or tonumber(redis.call('HGET', CONTROL, 'succeeded') or '0')
local window = open_window(cx, state, retention, kept, tonumber(ARGV[4]), tonumber(ARGV[5]))

if not index then
  local lines, examined, ahead = {}, 0, {}
  local oldest = redis.call('XRANGE', SUCCEEDED, '-', '+', 'COUNT', SUCCEEDED_ENTRIES)
  for i, line in ipairs(oldest) do
    local ended, ids = line[2][1], line[2][2]
    local _, blanks = string.gsub(ids, ' ', '')
    local is_ahead = tonumber(ended) > cx.now
    examined = examined + blanks + 1
    if tonumber(ended) > before and not is_ahead then break end
    if i > 1 and examined > bound then
      more = 1
      break
    end
    for id in string.gmatch(ids, '%S+') do
      -- An operator may have purged a job, and the job may have come again.
      local text = fields_of(JOB .. id, 'state')[1]
      if text and string.match(text, '^succeeded (%d+)') == ended then
        if is_ahead then
          -- The clock was ahead when this was written. The job counts as succeeded now, or it
          -- would hold up all entries behind it.
          become(cx, JOB .. id, 'succeeded', text)
          ahead[#ahead + 1] = id
        else
          -- The entry stays for the jobs that are left.
          if cx.read >= CALL_BYTES then more = 1 end
          if more == 1 or not may_go(window, tonumber(ended)) then break end
          cx.read = cx.read + forget(cx, id, JOB .. id, true)
          move(cx, 'forgotten', id)
          forgotten = forgotten + 1
        end
      end
    end
    if more == 1 or window.held then break end
    lines[i] = line[1]
  end
  if #ahead > 0 then redis.call('XADD', SUCCEEDED, '*', cx.at, table.concat(ahead, ' ')) end
  if #lines > 0 then redis.call('XDEL', SUCCEEDED, unpack(lines)) end
  if #lines == SUCCEEDED_ENTRIES then more = 1 end
  if forgotten > 0 then redis.call('HINCRBY', CONTROL, 'succeeded', -forgotten) end
  -- An empty stream is still a key.
  if #lines > 0 and redis.call('XLEN', SUCCEEDED) == 0 then redis.call('DEL', SUCCEEDED) end
else
  local entries = redis.call('ZRANGE', index, '-inf', int(before), 'BYSCORE', 'LIMIT', 0, bound, 'WITHSCORES')
  local out = {}
  for i = 1, #entries, 2 do
    local id = entries[i]
    if cx.read >= CALL_BYTES then break end
    -- A job in another state only leaves this index.
    if state_of(fields_of(JOB .. id, 'state')[1]) == state then
      if not may_go(window, tonumber(entries[i + 1])) then break end
      cx.read = cx.read + forget(cx, id, JOB .. id, true)
      move(cx, 'forgotten', id)
      forgotten = forgotten + 1
    end
    out[#out + 1] = id
  end
  if #out > 0 then redis.call('ZREM', index, unpack(out)) end
  if not window.held and (#out == bound or 2 * #out < #entries) then more = 1 end
end
close_window(window)
if state == 'dead' then drop_past_groups(cx) end
tell(cx, '')
return {forgotten, more, window.held and 1 or 0}
