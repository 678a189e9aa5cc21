-- Rows about the verdicts of forgotten jobs. A row is JSON: account, route, when the job was
-- enqueued, when its outcome was due, when it ended (ms), attempts, kind, tenant, subject, source and id of its event,
-- and the summary of its outcome or the cause of its failure. The rows of a day are in one hash by
-- id, those of expectations achieved in time apart from the exceptions.
-- include: int, job, state, books

-- The first bytes of a text, without a part of a character at the end.
local function cut(text)
  if not text or #text <= NAME_BYTES then return text or '' end
  local last = NAME_BYTES
  while last > 0 and string.byte(text, last + 1) >= 128 and string.byte(text, last + 1) < 192 do last = last - 1 end
  return string.sub(text, 1, last)
end
local function bytes_of_row(id, row) return #id + #row + ROW_BYTES end
-- Forgets what lists a row; the caller removes the row from its hash.
local function drop_row(cx, id, row)
  redis.call('HINCRBY', CONTROL, 'verdict_bytes', -bytes_of_row(id, row))
  redis.call('HINCRBY', CONTROL, 'verdicts', -1)
  local ok, its = pcall(cjson.decode, row)
  if not ok or type(its) ~= 'table' then return end
  local letter, route, ended, subject = its[1], int(tonumber(its[2]) or 0), tonumber(its[5]), its[9]
  if LISTED[letter] then
    -- The entry may be of a later job with the same id.
    local index = OUTCOMES .. route .. ':' .. letter
    if tonumber(redis.call('ZSCORE', index, id) or '') == ended and redis.call('ZREM', index, id) == 1 then
      count_moves(cx, route, letter, 'z', 1)
    end
  elseif letter then
    count_moves(cx, route, letter, 'z', 1)
  end
  -- A later job with the same id may have the same subject.
  local body = field_of(JOB .. id, 'job')
  if type(subject) == 'string' and not (body and meta_of(body)[1] == subject) then
    redis.call('ZREM', SUBJECTS, subject .. '\0' .. id)
  end
end
-- Whether a row is about a job of the subject.
local function is_row_of(row, subject)
  local ok, its = pcall(cjson.decode, row)
  return ok and type(its) == 'table' and its[9] == subject
end
-- The account of a job that ended.
local function verdict_of(text, account, due)
  local state, ended = string.match(text or '', '^(%a+) (%d+)')
  return account or state == 'dead' and 'm' or state == 'cancelled' and 'c' or tonumber(ended) > tonumber(due) and 'l' or 't', ended
end
-- Forgets the verdict of a job that ended, without a row.
local function forget_verdict(cx, id, key, body)
  local due, route = expectation_of(body)
  if due == '' then return end
  local letter = verdict_of(redis.call('HGET', key, 'state'), redis.call('HGET', key, 'account'), due)
  if LISTED[letter] then redis.call('ZREM', OUTCOMES .. route .. ':' .. letter, id) end
  count_moves(cx, route, letter, 'z', 1)
end
-- What the row says about how the job ended.
local function what_became(key, state)
  if state == 'succeeded' then
    local outcome = redis.call('HGET', key, 'outcome') or ''
    local summary = string.match(outcome, '^{"summary":"([^"\\]*)"')
    if summary or outcome == '' or #outcome > NAME_BYTES * 64 then return summary end
    -- Its members may be in another order, or its summary may have escapes.
    local ok, its = pcall(cjson.decode, outcome)
    return ok and type(its) == 'table' and type(its.summary) == 'string' and its.summary or nil
  end
  local group = redis.call('HGET', key, 'group')
  local cause = group and redis.call('HMGET', GROUP .. group, 'class', 'said')
  return cause and cause[1] and cause[1] .. ': ' .. (cause[2] or '')
end
-- Writes the row of a job that ended and is to be forgotten. `meta` is its decoded meta line.
local function keep_verdict(cx, id, key, body, meta)
  local due, route, tenant = expectation_of(body)
  local fields = redis.call('HMGET', key, 'state', 'account', 'released')
  local letter, ended = verdict_of(fields[1], fields[2], due)
  local kind = header(body)
  local labels = type(meta[3]) == 'table' and meta[3] or {}
  local attempts = tonumber(string.match(attempt_of(fields[1]), '^ (%d+)') or '0') - (fields[3] or 0)
  local row = cjson.encode({
    letter, tonumber(route), enqueued_ms(body), tonumber(due), tonumber(ended), attempts, cut(kind), cut(tenant),
    type(meta[1]) == 'string' and meta[1] or '', cut(labels.source), cut(labels.id), cut(what_became(key, state_of(fields[1]))),
  })
  local day = int(math.floor(ended / DAY_MS)) .. (letter == 't' and ':t' or ':e')
  local rows = VERDICTS_OF .. day
  local old = redis.call('HGET', rows, id)
  if old then drop_row(cx, id, old) end
  -- The clock may have been set back since the verdict.
  if LISTED[letter] then redis.call('ZADD', OUTCOMES .. route .. ':' .. letter, 'XX', ended, id) end
  redis.call('HSET', rows, id, row)
  redis.call('ZADD', VERDICTS, string.match(day, '^%d+'), day)
  redis.call('HINCRBY', CONTROL, 'verdict_bytes', bytes_of_row(id, row))
  redis.call('HINCRBY', CONTROL, 'verdicts', 1)
end
