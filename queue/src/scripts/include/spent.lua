-- How long a job spent in the stages of its life. The field `spent` of a job has five sums (ms)
-- between blanks: runs, parked, waits for another attempt, waits for a confirmation, dead. Behind
-- them stands the letter of the stage of the present state, where that does not follow from the
-- state; `e` where the job succeeded and the sums are complete. The rest of its time the job was queued. A job that only waited and ran once has no such
-- field: its sums follow from its times. Pure.
-- include: int, job

local SUM_OF = {r = 1, p = 2, w = 3, c = 4, d = 5}
local STAGE_OF = {running = 'r', parked = 'p', dead = 'd'}
-- The stage that ends when a job leaves a state; nil for the queue. A job that is scheduled before
-- its first attempt is queued.
local function stage_left(text)
  local state = state_of(text)
  return STAGE_OF[state] or state == 'scheduled' and attempt_of(text) ~= '' and 'w' or nil
end
-- The field after a job leaves the state of `text` and becomes `state`. `stage` is the stage of the
-- new state, or nil where it follows from the state.
local function spent_after(spent, text, state, now, stage)
  local sums, n = {0, 0, 0, 0, 0}, 0
  for sum in string.gmatch(spent or '', '%d+') do
    n = n + 1
    sums[n] = tonumber(sum)
  end
  local marked = string.match(spent or '', ' (%a)$')
  local left = stage_left(text)
  if left then
    local since = string.match(text, '^running %d+ %S+ (%d+)') or string.match(text, '^%a+ (%d+)')
    -- The clock may have been set back since.
    local nth = SUM_OF[marked] or SUM_OF[left]
    sums[nth] = sums[nth] + math.max(0, now - tonumber(since))
    -- The job may stay in its state, with another time.
    if state == state_of(text) then stage = stage or marked end
    -- A handler that succeeds adds nothing: its attempt follows from the times of the job.
    if state == 'succeeded' then stage = 'e' end
  end
  local field = int(sums[1]) .. ' ' .. int(sums[2]) .. ' ' .. int(sums[3]) .. ' ' .. int(sums[4]) .. ' ' .. int(sums[5])
  return stage and field .. ' ' .. stage or field
end
