-- The arithmetic of turns: start-time fair queueing (Goyal et al. 1996). A lane's turn is a
-- virtual time. Pure.

-- Lanes wait for a limit key by class, then by turn: virtual times of different classes say
-- nothing about each other. A double holds both, with the turn to 1/128.
local CLASS_APART = 2 ^ 44
local function blocked_score(class, turn) return class * CLASS_APART + turn end
local function turn_of_score(class, score) return score - class * CLASS_APART end
-- Lanes that are new start one behind the other, as far apart as `blocked` can tell them.
-- Otherwise the lane with the smaller name would always go first.
local NEW_APART = 1 / 64

-- The turns of new lanes, in order: one after the other behind `newest`. A tenant with many
-- lanes gets no extra turn for each: its lanes start as far apart as it may have jobs.
-- `lanes_of` has how many lanes each owner has, and is counted up; `weight_of(owner)` gives a
-- tenant's weight. Returns the turns, and the new `newest`.
local function new_turns(newest, owners, lanes_of, weight_of)
  local turns = {}
  for i, owner in ipairs(owners) do
    local others = lanes_of[owner]
    newest = newest + NEW_APART
    turns[i] = others > 0 and newest + others / weight_of(owner) or newest
    lanes_of[owner] = others + 1
  end
  return turns, newest
end
-- How many jobs a lane may get in one go: until the turn of the lane behind it, and up to the
-- quantum ahead of that.
local function part_of(turn, follower, step, quantum)
  local part = math.floor((follower - turn) / step) + 1
  if quantum > 1 then part = math.max(part, math.floor(quantum / step)) end
  return part
end
