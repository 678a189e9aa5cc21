-- Purpose: drop rows about verdicts: those of days that are older than the retention, and while all
--       rows have more bytes than they may have, those of the oldest days, achieved in time first.
--       Within a window no more than a share goes by age: a clock that jumps ahead makes every row old.
-- KEYS: 1 control, 2 none
-- ARGV: 1 how long a row is kept in ms, 2 bytes of all rows at most, 3 bound on rows (at most 128),
--       4 the share of kept rows (0 to 1) that may go within the window, 5 the window in ms
-- Returns: {rows dropped, 1 when there are more, 1 when more are due than may go now}.
-- include: open
local opened, control = open('verdicts', 'verdict_bytes')
if opened.err then return opened end
local keep_ms, most, bound = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local n_rows, bytes = tonumber(control[6] or '0'), tonumber(control[7] or '0')
local oldest = redis.call('ZRANGE', VERDICTS, '0', '0', 'WITHSCORES')
if not oldest[1] then return {0, 0, 0} end
local function is_old(day) return (day + 1) * DAY_MS <= opened.now - keep_ms end
local by_age = is_old(tonumber(oldest[2]))
if not by_age and bytes <= most then return {0, 0, 0} end
-- include: int, moves, verdict, window

local cx = opened
local window = open_window(cx, 'verdicts', keep_ms, n_rows, tonumber(ARGV[4]), tonumber(ARGV[5]))
local day = oldest[1]
if bytes > most then
  by_age = false
  for _, each in ipairs(redis.call('ZRANGE', VERDICTS, '0', int(MAX_PAGE - 1))) do
    if string.sub(each, -2) == ':t' then
      day = each
      break
    end
  end
end
local ended = (tonumber(string.match(day, '^%d+')) + 1) * DAY_MS
local rows, dropped = redis.call('HRANDFIELD', VERDICTS_OF .. day, bound, 'WITHVALUES'), {}
for i = 1, #rows, 2 do
  if by_age and not may_go(window, ended) or not by_age and bytes <= most then break end
  drop_row(cx, rows[i], rows[i + 1])
  bytes = bytes - bytes_of_row(rows[i], rows[i + 1])
  dropped[#dropped + 1] = rows[i]
end
if dropped[1] then redis.call('HDEL', VERDICTS_OF .. day, unpack(dropped)) end
if redis.call('EXISTS', VERDICTS_OF .. day) == 0 then redis.call('ZREM', VERDICTS, day) end
close_window(window)
tell(cx, '')
return {#dropped, not window.held and 1 or 0, window.held and 1 or 0}
