-- Purpose: compare jobs, or entries of an index of expectations, with the account that each job's
--       expectation is in. Changes nothing.
-- KEYS: 1 control, 2 none
-- ARGV: 1 `jobs`, or `route:account` of the index; 2 how long (ms) an expectation may be due before the
--       watchdog must have found it; then at most 128 ids, each followed by its score where it is of
--       an index
-- Returns: {how many ids were looked at: fewer where the jobs have CALL_BYTES, {`route|account`,
--       jobs in it...}, {id, what is wrong, since when (ms)...}}
-- include: open, int, job, state, books
local cx = open()
if cx.err then return cx end
local counts, findings, looked, patience = {}, {}, 0, tonumber(ARGV[2])
local function find(id, what, since)
  findings[#findings + 1] = id
  findings[#findings + 1] = what
  findings[#findings + 1] = int(tonumber(since) or 0)
end
-- The account of a job, its route and due time, and since when it is in its state; nil for no job.
local function account_of(id)
  local fields = fields_of(JOB .. id, 'job', 'state', 'account')
  local body = fields[1]
  if not body then return nil end
  cx.read = cx.read + #body
  local due, route = expectation_of(body)
  local state, since = state_of(fields[2]), string.match(fields[2] or '', '^%a+ (%d+)') or int(enqueued_ms(body))
  local ends = {succeeded = due ~= '' and tonumber(since) > tonumber(due) and 'l' or 't', dead = 'm', cancelled = 'c'}
  return fields[3] or ends[state] or 'o', route, due, since
end
if ARGV[1] == 'jobs' then
  local sums = {}
  for i = 3, #ARGV do
    if cx.read >= CALL_BYTES then break end
    looked = looked + 1
    local id = ARGV[i]
    local account, route, due, since = account_of(id)
    if account then
      local name = route .. '|' .. account
      sums[name] = (sums[name] or 0) + 1
      local index = LISTED[account]
      if due ~= '' and index and not redis.call('ZSCORE', OUTCOMES .. route .. ':' .. index, id) then
        find(id, 'no index lists it', since)
      elseif (account == 'o' or account == 'w') and due ~= '' and tonumber(due) + patience < cx.now then
        find(id, 'it is due and not overdue', due)
      end
    end
  end
  for name, n in pairs(sums) do
    counts[#counts + 1] = name
    counts[#counts + 1] = n
  end
else
  local of, index = string.match(ARGV[1], '^(%d+):(%a)$')
  if not of then return redis.error_reply('ARGS audit: `' .. ARGV[1] .. '` has no index') end
  for i = 3, #ARGV, 2 do
    if cx.read >= CALL_BYTES then break end
    looked = looked + 1
    local id, score = ARGV[i], tonumber(ARGV[i + 1])
    local account, route = account_of(id)
    if not (account and LISTED[account] == index and route == of) then
      local row = redis.call('HGET', VERDICTS_OF .. int(math.floor(score / DAY_MS)) .. ':e', id)
      -- The entry may have gone since it was read.
      if not row and redis.call('ZSCORE', OUTCOMES .. ARGV[1], id) then find(id, 'neither a job nor a row has this verdict', score) end
    end
  end
end
return {looked, counts, findings}
