-- The transitions of a call: `cx.moves` has the ids by what happened to them, `cx.moved` the
-- names in order.

-- Notes a transition of one job.
local function move(cx, what, id)
  local moves = cx.moves
  if not moves then
    moves, cx.moved = {}, {}
    cx.moves = moves
  end
  local ids = moves[what]
  if not ids then
    ids = {}
    moves[what] = ids
    cx.moved[#cx.moved + 1] = what
  end
  ids[#ids + 1] = id
end
-- Notes a transition of many jobs; `text` is their ids separated by blanks.
local function move_all(cx, what, ids, text)
  if not cx.moves then cx.moves, cx.moved = {}, {} end
  cx.moves[what] = ids
  cx.moved[#cx.moved + 1] = what
  ids.text = text
end
-- Writes the books. Counts the transitions, appends them to the outbox as one entry, with the moves
-- of expectations, and publishes the ids. `by` is the worker that caused them, or ''.
local function tell(cx, by)
  if cx.books then
    for name, n in pairs(cx.books) do redis.call('HINCRBY', BOOKS, name, n) end
  end
  if cx.undecided then
    for field, n in pairs(cx.undecided) do
      -- A tenant with nothing open has no field. What an earlier version opened was not counted.
      if n ~= 0 and redis.call('HINCRBY', OPEN_BY_TENANT, field, n) <= 0 then redis.call('HDEL', OPEN_BY_TENANT, field) end
    end
  end
  if not cx.moves then return end
  local entry, all = {'XADD', OUTBOX, '*', 'by', by}, {}
  for i, what in ipairs(cx.moved) do
    local ids = cx.moves[what]
    all[i] = ids.text or table.concat(ids, ' ')
    redis.call('HINCRBY', STATS, what, #ids)
    entry[#entry + 1] = what
    entry[#entry + 1] = all[i]
  end
  if cx.told then
    for name, ids in pairs(cx.told) do
      entry[#entry + 1] = name
      entry[#entry + 1] = ids
    end
  end
  redis.call(unpack(entry))
  redis.call('PUBLISH', CHANGES, all[2] and table.concat(all, ' ') or all[1])
end
