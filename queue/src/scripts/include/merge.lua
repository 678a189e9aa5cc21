-- Merges the list of a lane with its placed jobs. Pure.

-- Takes the first n of the ids of a list and of placed jobs (id, score, ...), in the order in
-- which they should run. `run_by_of(id)` reads when a listed job should run; `is_enough()` says
-- that no more bodies are to be read. `goes_on`: the list has more than these ids.
-- Returns the ids, the scores of those that are placed, and how many were taken of either.
local function merge(listed, placed, n, goes_on, run_by_of, is_enough)
  local ids, scores, i, p = {}, {}, 1, 1
  -- The first `before` of the list are known to come before the next placed job. `looked_for`
  -- is the placed job that the last listed one was compared with.
  local before, looked_for = 0, 0
  for place = 1, n do
    if place > 1 and is_enough() then break end
    local score, takes_placed = tonumber(placed[p + 1]), false
    if score and score <= 0 then
      takes_placed = true
    elseif score and not listed[i] then
      -- What follows in the list is not known, and may come first.
      takes_placed = not goes_on
    elseif score and i > before then
      local last = math.min(#listed, i + n - place)
      if looked_for < p and last > i then
        looked_for = p
        if run_by_of(listed[last]) < score then before = last end
      end
      if i > before then
        takes_placed = score <= run_by_of(listed[i])
        if not takes_placed then before = i end
      end
    end
    if takes_placed then
      ids[place], scores[place] = placed[p], placed[p + 1]
      p = p + 2
    elseif listed[i] then
      ids[place] = listed[i]
      i = i + 1
    else
      break
    end
  end
  return ids, scores, i - 1, (p - 1) / 2
end
