-- Requests for wrk, by the first argument after `--`:
--   get FOLDER COUNT                 one of COUNT files after the other, each thread from its own
--   propfind DEPTH FOLDER [COUNT]    on COUNT files as above, or on the folder itself
--   put FOLDER FOLDERS BYTES         a new name and new content each time, over FOLDERS folders
-- Prints one line `RESULT {json}` when done.

local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

local function in_turn(requests)
  local at = id * math.floor(#requests / 2)
  return function()
    at = at % #requests + 1
    return requests[at]
  end
end

local function files(method, folder, count, headers, body)
  local requests = {}
  for i = 0, count - 1 do
    requests[i + 1] = wrk.format(method, folder .. "/f" .. i, headers, body)
  end
  return in_turn(requests)
end

local function puts(folder, folders, bytes)
  math.randomseed(os.time() + id)
  local head = {}
  for name, value in pairs(wrk.headers) do
    head[#head + 1] = name .. ": " .. value .. "\r\n"
  end
  local rest = " HTTP/1.1\r\n" .. table.concat(head) .. "Content-Length: " .. bytes .. "\r\n\r\n"
  -- Its first 16 bytes make each content new; the tail differs between threads and runs.
  local tail = {}
  for i = 1, bytes - 16 do
    tail[i] = string.char(math.random(0, 255))
  end
  rest, tail = rest, table.concat(tail)
  local sent = 0
  return function()
    sent = sent + 1
    local path = folder .. "/" .. sent % folders .. "/t" .. id .. "-" .. sent
    return "PUT " .. path .. rest .. string.format("%016d", sent) .. tail
  end
end

function init(args)
  if args[1] == "get" then
    request = files("GET", args[2], tonumber(args[3]))
  elseif args[1] == "propfind" then
    local headers = { Depth = args[2], ["Content-Type"] = "application/xml" }
    for name, value in pairs(wrk.headers) do
      headers[name] = value
    end
    local body = [[<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:displayname/>]]
      .. "<D:getlastmodified/><D:getcontentlength/><D:resourcetype/><D:getetag/></D:prop></D:propfind>"
    if args[4] then
      request = files("PROPFIND", args[3], tonumber(args[4]), headers, body)
    else
      request = in_turn({ wrk.format("PROPFIND", args[3] .. "/", headers, body) })
    end
  elseif args[1] == "put" then
    request = puts(args[2], tonumber(args[3]), tonumber(args[4]))
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, "refused": %d, "broken": %d, '
      .. '"p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3))
end
