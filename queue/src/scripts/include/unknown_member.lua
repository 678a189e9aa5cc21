-- How a job that is parked for a kind stands in the index of that kind. Pure.
-- include: job

-- The kind and version of a condition (`K@V`); nil where the condition is another one.
local function kind_of_condition(condition) return string.match(condition, '^kind (.+)$') end
-- The member of a job in the index: `class:flow NUL when it should run (ms) NUL id`.
local function unknown_member(id, body, class, flow)
  local _, _, _, deadline = header(body)
  local by = parse_deadline(deadline)
  by = by and tonumber(by) or enqueued_ms(body) + PATIENCE_US / 1000
  return class .. ':' .. flow .. '\0' .. string.format('%014.0f', by) .. '\0' .. id
end
