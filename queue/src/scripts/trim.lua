-- Purpose: forget finished jobs that are older than the retention.
-- KEYS: 1 control
-- ARGV: 1 state (succeeded, dead, cancelled), 2 retention in ms, 3 bound on jobs (at
--       most 128, or CALL_BYTES)
-- Returns: {jobs forgotten, 1 when there are more}.
local INDEX = {dead = DEAD, cancelled = CANCELLED}
local state, before, bound = ARGV[1], now - tonumber(ARGV[2]), tonumber(ARGV[3])
local forgotten, more, read = 0, 0, 0
if state == 'succeeded' then
  local lines, examined = {}, 0
  local oldest = redis.call('XRANGE', SUCCEEDED, '-', '+', 'COUNT', 16)
  for i, line in ipairs(oldest) do
    local ended, ids = line[2][1], line[2][2]
    local _, blanks = string.gsub(ids, ' ', '')
    examined = examined + blanks + 1
    if tonumber(ended) > before then break end
    if i > 1 and examined > bound then
      more = 1
      break
    end
    for id in string.gmatch(ids, '%S+') do
      -- One that was forgotten by hand may have come again meanwhile.
      local text = redis.call('HGET', JOB .. id, 'state')
      if text and string.match(text, '^succeeded (%d+)') == ended then
        -- The line stays for those that are left.
        if read >= CALL_BYTES then
          more = 1
          break
        end
        read = read + forget(id, JOB .. id)
        move('forgotten', id)
        forgotten = forgotten + 1
      end
    end
    if more == 1 then break end
    lines[i] = line[1]
  end
  if #lines > 0 then redis.call('XDEL', SUCCEEDED, unpack(lines)) end
  if #lines == 16 then more = 1 end
  if forgotten > 0 then redis.call('HINCRBY', CONTROL, 'succeeded', -forgotten) end
  -- An empty stream is a key nevertheless.
  if #lines > 0 and redis.call('XLEN', SUCCEEDED) == 0 then redis.call('DEL', SUCCEEDED) end
else
  local index = INDEX[state]
  if not index then return redis.error_reply('ARGS trim: `' .. state .. '` is no state that a job ends in') end
  local ids = redis.call('ZRANGE', index, '-inf', int(before), 'BYSCORE', 'LIMIT', 0, bound)
  local gone = {}
  for i, id in ipairs(ids) do
    if read >= CALL_BYTES then break end
    gone[i] = id
    -- What is somewhere else by its state only leaves this index.
    if state_of(redis.call('HGET', JOB .. id, 'state')) == state then
      read = read + forget(id, JOB .. id)
      move('forgotten', id)
      forgotten = forgotten + 1
    end
  end
  if #gone > 0 then redis.call('ZREM', index, unpack(gone)) end
  if #gone == bound or #gone < #ids then more = 1 end
end
tell('')
return {forgotten, more}
