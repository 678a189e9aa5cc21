-- For the scripts as Redis gets them, with their includes: see `make lint`.
std = {
  globals = {},
  read_globals = {
    'redis', 'cjson', 'KEYS', 'ARGV', 'string', 'table', 'math', 'tonumber', 'ipairs', 'pairs', 'pcall', 'type',
    'unpack',
  },
}
max_line_length = false
