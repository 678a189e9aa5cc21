-- Takes flows apart. Pure, but for the memory of one call (`cx.flows`).

-- A flow's tenant, and the keys of the limits that may hold its jobs: that of the tenant, then
-- those that the jobs name. A key that is named twice counts once.
local function split_flow(name)
  local tenant, first, others = string.match(name, '^([^|]*)|?([^|]*)(.*)$')
  local keys
  if tenant == '' then
    keys = first ~= '' and {'key:' .. first} or {}
  else
    keys = first ~= '' and {'tenant:' .. tenant, 'key:' .. first} or {'tenant:' .. tenant}
  end
  if others ~= '' then
    for part in string.gmatch(others, '[^|]+') do
      local key, named = 'key:' .. part, false
      for _, each in ipairs(keys) do named = named or each == key end
      if not named then keys[#keys + 1] = key end
    end
  end
  -- A claim notes here what it learns of the flow (see `limited_flow`).
  return {tenant = tenant, keys = keys, limits = false, weight = 1}
end
local function flow_of(cx, name)
  local flow = cx.flows[name]
  if not flow then
    flow = split_flow(name)
    cx.flows[name] = flow
  end
  return flow
end
