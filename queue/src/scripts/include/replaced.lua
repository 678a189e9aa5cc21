-- Whether a dead job's idempotency key went to another job that does its work, can do it, or has
-- done it. A successor that is forgotten may have done it.
-- include: job, state
local function is_replaced(key)
  local successor = field_of(key, 'successor')
  local job = successor and fields_of(JOB .. successor, 'job', 'state')
  return job and not (job[1] and state_of(job[2]) == 'cancelled')
end
