-- Adds a line to a text and drops the oldest lines beyond the caps in bytes and in lines. The
-- newest line always stays. Pure.
local function add_line(text, line, bytes, lines)
  if not text then return line end
  text = text .. '\n' .. line
  local _, feeds = string.gsub(text, '\n', '')
  while #text > bytes or feeds >= lines do
    local cut = string.find(text, '\n', 1, true)
    if not cut then break end
    text = string.sub(text, cut + 1)
    feeds = feeds - 1
  end
  return text
end
