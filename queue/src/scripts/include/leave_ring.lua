-- Takes a flow out of the ring of its class.
-- include: tenant
local function leave_ring(class, flow)
  if redis.call('ZREM', RING .. class, flow) == 1 then
    local tenant = tenant_of(flow)
    if redis.call('HINCRBY', FLOWS .. class, tenant, -1) <= 0 then redis.call('HDEL', FLOWS .. class, tenant) end
  end
end
