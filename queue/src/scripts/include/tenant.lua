-- The tenant of a flow; '' for none. Pure.
local function tenant_of(flow) return string.match(flow, '^[^|]*') end
