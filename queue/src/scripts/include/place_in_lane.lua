-- Finds a job in the list of a lane without reading the list: it is in the order in which its jobs
-- were enqueued, so halving finds the position.
-- include: int, job, state

-- When the job at a position was enqueued; where it is forgotten, that of the next one.
local function enqueued_at(list, length, place)
  for i = place, math.min(place + 15, length - 1) do
    local body = fields_of(JOB .. redis.call('LINDEX', list, int(i)), 'job')[1]
    if body then return enqueued_ms(body) end
  end
end
-- The position of the first job that was enqueued at a time (ms) or later.
local function first_since(list, length, ms)
  local from, last = 0, length
  for _ = 1, 48 do
    if from >= last then break end
    local middle = math.floor((from + last) / 2)
    local at = enqueued_at(list, length, middle)
    if at and at < ms then from = middle + 1 else last = middle end
  end
  return from
end
-- Looks for a job among MAX_BATCH ids, from one position up to another. A job that was enqueued
-- again under the same id is in the list once more behind that.
local function place_among(list, id, first, upto)
  local ids = redis.call('LRANGE', list, int(first), int(math.min(first + MAX_BATCH - 1, upto)))
  for i = #ids, 1, -1 do
    if ids[i] == id then return first + i - 1 end
  end
end
-- Looks for a job behind the first one that was enqueued in the same ms: several may have been.
local function place_behind(list, length, id, from)
  for i = 0, 7 do
    local place = place_among(list, id, from + i * MAX_BATCH, length)
    if place then return place end
  end
end
