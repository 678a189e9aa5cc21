-- Purpose: read a part of a sorted set, behind the entry that a cursor names, whether the entry
--       still exists or not. The work does not grow with the position.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what (scheduled, running, parked, dead, cancelled, signals, due, placed, members, retrying, need, operations,
--       outcomes), 2 the lane of placed, the group of members and retrying, the condition of need, the route and account
--       of outcomes, 3 direction (up, down), 4 score and 5 member of the
--       entry ('' for the beginning), 6 bound on entries (at most 1024)
-- Returns: {member, score...}
-- include: open, int
local cx = open()
if cx.err then return cx end
local INDEX = {
  scheduled = SCHEDULED, running = RUNNING, parked = PARKED, dead = DEAD, cancelled = CANCELLED,
  signals = SIGNALS, due = DUE, operations = OPERATIONS,
  placed = PLACED .. ARGV[2], members = MEMBERS .. ARGV[2], retrying = RETRYING .. ARGV[2], need = NEED .. ARGV[2],
  outcomes = OUTCOMES .. ARGV[2],
}
local index, score, member, bound = INDEX[ARGV[1]], ARGV[4], ARGV[5], tonumber(ARGV[6])
if not index or not bound or bound < 1 or bound > MAX_PAGE or (member ~= '' and not tonumber(score)) then
  return redis.error_reply('ARGS page: `' .. ARGV[1] .. '` from `' .. score .. '`, ' .. ARGV[6] .. ' entries')
end
-- How many entries sort before the named one, and whether the named one exists.
local before, is_there = 0, 0
if member ~= '' then
  local at = redis.call('ZSCORE', index, member)
  if at and tonumber(at) == tonumber(score) then
    before, is_there = redis.call('ZRANK', index, member), 1
  else
    -- It left. Entries of the same score are in the order of their names.
    before = redis.call('ZCOUNT', index, '-inf', '(' .. score)
    local last = redis.call('ZCOUNT', index, '-inf', score)
    for _ = 1, 48 do
      if before >= last then break end
      local middle = math.floor((before + last) / 2)
      if redis.call('ZRANGE', index, int(middle), int(middle))[1] < member then
        before = middle + 1
      else
        last = middle
      end
    end
  end
end
if ARGV[3] == 'up' then
  local from = before + is_there
  return redis.call('ZRANGE', index, int(from), int(from + bound - 1), 'WITHSCORES')
end
local from = member == '' and 0 or redis.call('ZCARD', index) - before
return redis.call('ZRANGE', index, int(from), int(from + bound - 1), 'REV', 'WITHSCORES')
