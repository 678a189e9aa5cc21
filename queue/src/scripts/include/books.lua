-- The books. Each transition of an expectation moves 1 from one account of its route to another, in
-- the call that makes the transition. Accounts are letters, see `policy/account.rs`. `cx.books`
-- counts the moves of the call by `route|from>to`, and `cx.told` has the ids of those moves that a
-- receipt tells; `tell` writes both, and what changed for tenants. Jobs without an expectation have route 0: they are counted.
-- include: int, job

-- The accounts whose expectations are listed by time, and the account that lists them.
local LISTED = {v = 'v', n = 'n', w = 'w', l = 'l', p = 'p', m = 'm', c = 'c', x = 'x', y = 'x'}
-- Counts n moves. Returns their name.
local function count_moves(cx, route, from, to, n)
  local books = cx.books
  if not books then
    books = {}
    cx.books = books
  end
  local name = route .. '|' .. from .. '>' .. to
  books[name] = (books[name] or 0) + n
  return name
end
-- The accounts without a verdict.
local UNDECIDED = {o = true, w = true, v = true, n = true}
-- Counts how many expectations of a tenant have no verdict, and how many of these are overdue. `tell` writes
-- what `cx.undecided` has by field.
local function stand(cx, tenant, from, to, n)
  local all = (UNDECIDED[to] and n or 0) - (UNDECIDED[from] and n or 0)
  local overdue = (to == 'v' and n or 0) - (from == 'v' and n or 0)
  if all == 0 and overdue == 0 then return end
  local undecided = cx.undecided or {}
  cx.undecided = undecided
  undecided['o|' .. tenant] = (undecided['o|' .. tenant] or 0) + all
  if overdue ~= 0 then undecided['v|' .. tenant] = (undecided['v|' .. tenant] or 0) + overdue end
end
-- Counts something of this day. A day has a bounded number of fields: what does not fit counts for
-- the field `rest`.
local function figure(cx, field, rest, n)
  local key = FIGURES .. int(math.floor(cx.now / DAY_MS))
  if redis.call('HINCRBY', key, field, n) == n then
    redis.call('PEXPIRE', key, FIGURES_MS)
    if redis.call('HLEN', key) > MAX_FIGURES then
      redis.call('HDEL', key, field)
      redis.call('HINCRBY', key, rest, n)
    end
  end
end
-- Notes the ids of moves, and counts them for their tenant.
local function tell_moves(cx, name, to, tenant, ids, text)
  local told = cx.told
  if not told then
    told = {}
    cx.told = told
  end
  local before = told[name]
  text = text or table.concat(ids, ' ')
  told[name] = before and before .. ' ' .. text or text
  if to ~= 'n' and to ~= 'w' and to ~= 'o' then figure(cx, 't|' .. tenant .. '|' .. to, 't|*|' .. to, #ids) end
end
-- Moves the expectation of a job. `due` is a text (ms).
local function move_expectation(cx, id, route, from, to, due, tenant)
  local name = count_moves(cx, route, from, to, 1)
  if route == '0' then return end
  stand(cx, tenant, from, to, 1)
  -- The receipt of a waived expectation was told while the work went on.
  if from ~= 'y' then tell_moves(cx, name, to, tenant, {id}) end
  local before, after = LISTED[from], LISTED[to]
  if before == after then return end
  if before then redis.call('ZREM', OUTCOMES .. route .. ':' .. before, id) end
  if after then
    local at = (to == 'v' or to == 'n' or to == 'w') and due or cx.at
    -- A forgotten job had the same id and the same verdict. Its row gives way.
    if redis.call('ZADD', OUTCOMES .. route .. ':' .. after, at, id) == 0 then count_moves(cx, route, after, 'z', 1) end
  end
end
-- Moves expectations of a tenant that were open and are achieved in time: most of all. `text` is the
-- ids between blanks, or false.
local function achieve_in_time(cx, route, tenant, ids, text)
  local name = count_moves(cx, route, 'o', 't', #ids)
  if route == '0' then return end
  stand(cx, tenant, 'o', 't', #ids)
  tell_moves(cx, name, 't', tenant, ids, text)
end
-- Gives the expectation of a job its verdict, where the job does not succeed.
local function end_expectation(cx, id, key, body, to)
  local due, route, tenant = expectation_of(body)
  local from = redis.call('HGET', key, 'account') or 'o'
  if from == 'y' then
    to = 'x'
    redis.call('HSET', key, 'account', to)
  elseif from ~= 'o' then
    redis.call('HDEL', key, 'account')
  end
  move_expectation(cx, id, route, from, to, due, tenant)
end
-- Takes back the verdict of a dead job that runs again.
local function reopen_expectation(cx, id, key, body)
  local due, route, tenant = expectation_of(body)
  local from = redis.call('HGET', key, 'account') or 'm'
  redis.call('HSET', key, 'account', 'n')
  move_expectation(cx, id, route, from, 'n', due, tenant)
end
