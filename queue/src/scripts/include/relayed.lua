-- How far the receipts are.

-- Up to which time (ms) all transitions are told: jobs that ended later are kept for their receipts.
-- Without the group of the receipts there is no such time.
local function relayed_ms()
  local groups = redis.pcall('XINFO', 'GROUPS', OUTBOX)
  if groups.err then return math.huge end
  for _, fields in ipairs(groups) do
    local group = {}
    for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
    if group.name == RECEIPTS then
      -- The first entry that was taken and not acknowledged, or else the first that was not taken.
      local needed = redis.call('XPENDING', OUTBOX, RECEIPTS)[2]
      if not needed then
        local following = redis.call('XRANGE', OUTBOX, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
        needed = following and following[1]
      end
      return needed and tonumber(string.match(needed, '^%d+')) - 1 or math.huge
    end
  end
  return math.huge
end
